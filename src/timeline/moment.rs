//! How a fleet was at a moment, as the events up to it tell.

use std::collections::BTreeMap;

use super::Happening;

/// Nodes and jobs, each with its state in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Moment<'e> {
    pub nodes: BTreeMap<&'e str, String>,
    /// That were not over then.
    pub jobs: BTreeMap<&'e str, String>,
}

impl<'e> Moment<'e> {
    /// At the event of this number, which has happened.
    pub fn of(events: impl IntoIterator<Item = &'e Happening>, number: u64) -> Moment<'e> {
        let mut moment = Moment::default();
        events.into_iter().take_while(|event| event.number <= number).for_each(|event| moment.add(event));
        moment
    }

    /// The next event has happened.
    pub fn add(&mut self, event: &'e Happening) {
        let id = event.subject.as_str();
        match event.kind.as_str() {
            "node-removed" => drop(self.nodes.remove(id)),
            "node-changed" => drop(self.nodes.insert(id, event.text.clone())),
            "node-paired" => drop(self.nodes.insert(id, format!("{}, paired", event.text))),
            "node-known" => drop(self.nodes.insert(id, event.text.clone())),
            "node-availability" => drop(self.nodes.entry(id).or_insert_with(|| event.text.clone())),
            "job-completed" | "job-failed" | "job-cancelled" => drop(self.jobs.remove(id)),
            "job-paused" => drop(self.jobs.insert(id, "paused".into())),
            "job-accepted" | "job-known" => drop(self.jobs.insert(id, event.text.clone())),
            "job-resumed" | "job-retried" => drop(self.jobs.insert(id, "running".into())),
            kind => {
                if let Some(what) = kind.strip_prefix("node-").filter(|_| !self.nodes.contains_key(id)) {
                    self.nodes.insert(id, what.to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bitacora_core::time::Time;

    use super::*;

    fn event(number: u64, kind: &str, subject: &str, text: &str) -> Happening {
        Happening { number, at: Time(number), kind: kind.into(), subject: subject.into(), text: text.into() }
    }

    #[test]
    fn a_moment_is_what_was_told_until_then() {
        let events = [
            event(1, "node-paired", "n1.1", "anvil"),
            event(2, "job-accepted", "j1.2", "full-analysis, 3 sparks"),
            event(3, "node-changed", "n1.1", "anvil is healthy, active"),
            event(4, "job-completed", "j1.2", "linux"),
            event(5, "node-changed", "n1.1", "anvil is offline, active, no link"),
            event(6, "node-removed", "n1.1", ""),
        ];
        let at = |number| Moment::of(&events, number);
        assert_eq!(at(3).nodes["n1.1"], "anvil is healthy, active");
        assert_eq!(at(3).jobs["j1.2"], "full-analysis, 3 sparks");
        assert!(at(4).jobs.is_empty() && at(5).nodes["n1.1"].contains("offline"));
        assert_eq!(at(6), Moment::default());
    }
}
