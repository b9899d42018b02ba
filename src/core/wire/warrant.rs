//! On whose word a node is asked to work, and for which project: what its owner can limit, whatever the fleet allows.
//!
//! The node decides by it, and a master that knows what the node would say asks it for nothing else: both by the same rule.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

/// Names in one list of an owner's.
pub const NAMES_MAX: usize = 256;

/// What a master says of each thing that it has a node do. Names, because they are what people know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Warrant {
    /// The person's device that asked for it; none for whoever has the master's own machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

impl Warrant {
    pub fn is_plain(&self) -> bool {
        self.device.is_none() && self.project.is_none()
    }
}

/// For whom and for what a node works; an empty list is everybody's, or everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Acceptance {
    /// What is about none of them is not done.
    pub projects: Vec<String>,
    /// People's devices. Whoever has the master's own machine has the fleet, and is always heard.
    pub devices: Vec<String>,
}

/// Why a node does not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    Device,
    Project,
}

impl Objection {
    /// For people, of a node.
    pub const fn describe(self) -> &'static str {
        match self {
            Objection::Device => "its owner lets it work for other devices only (`fleet-agent --only-device`)",
            Objection::Project => "its owner lets it work for other projects only (`fleet-agent --only-project`)",
        }
    }
}

impl Acceptance {
    pub fn is_open(&self) -> bool {
        self.projects.is_empty() && self.devices.is_empty()
    }

    pub fn objection(&self, warrant: &Warrant) -> Option<Objection> {
        let is_about = |name: &Option<String>| name.as_ref().is_some_and(|name| self.projects.contains(name));
        match self.objection_to_device(warrant) {
            None if !self.projects.is_empty() && !is_about(&warrant.project) => Some(Objection::Project),
            objection => objection,
        }
    }

    /// Of what is about no project by its nature.
    pub fn objection_to_device(&self, warrant: &Warrant) -> Option<Objection> {
        let is_strange = |device: &String| !self.devices.is_empty() && !self.devices.contains(device);
        warrant.device.as_ref().filter(|device| is_strange(device)).map(|_| Objection::Device)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn warrant(device: Option<&str>, project: Option<&str>) -> Warrant {
        Warrant { device: device.map(String::from), project: project.map(String::from) }
    }

    #[test]
    fn whoever_named_nothing_works_for_everybody() {
        let open = Acceptance::default();
        assert!(open.is_open());
        assert_eq!(open.objection(&warrant(Some("phone"), None)), None);
    }

    #[test]
    fn only_what_is_named_is_done_and_the_master_s_own_machine_is_heard() {
        let some = Acceptance { projects: vec!["ours".into()], devices: vec!["phone".into()] };
        for (asked, objection) in [
            (warrant(None, Some("ours")), None),
            (warrant(Some("phone"), Some("ours")), None),
            (warrant(Some("tablet"), Some("ours")), Some(Objection::Device)),
            (warrant(None, Some("theirs")), Some(Objection::Project)),
            (warrant(None, None), Some(Objection::Project)),
        ] {
            assert_eq!(some.objection(&asked), objection, "{asked:?}");
        }
        assert_eq!(some.objection_to_device(&warrant(None, None)), None);
        assert_eq!(some.objection_to_device(&warrant(Some("tablet"), None)), Some(Objection::Device));
    }
}
