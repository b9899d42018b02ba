//! The nodes of all fleets, as `node ls --all-fleets` tells of them; and the fleets that did not answer, a line each.

use bitacora_core::{time::Span, wire::node::Labels};
use serde::{Deserialize, Deserializer};

use super::clean;

/// What the fleet of this machine is called among others.
pub const HERE: &str = "(here)";
/// The health of a fleet that does not answer.
const UNREACHABLE: &str = "unreachable";

/// A node of some fleet, or a fleet that did not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Afar {
    pub fleet: String,
    /// Empty, as all but the health and the reason, of a fleet that did not answer.
    pub id: String,
    pub name: String,
    pub health: String,
    pub availability: String,
    pub linked: bool,
    pub cpu_permille: u16,
    pub sparks: u32,
    pub slots: u32,
    pub projects: Vec<String>,
    pub labels: Labels,
    pub version: String,
    #[serde(rename = "round_trip_seconds", deserialize_with = "span")]
    pub round_trip: Option<Span>,
    /// Why it did not answer.
    pub reason: String,
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    let seconds = Option::<f64>::deserialize(deserializer)?;
    // A number that is none, or none that lasts, becomes the nearest one that does.
    Ok(seconds.map(|seconds| Span((seconds * 1e6) as u64)))
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Afar>,
    errors: Vec<Afar>,
}

/// Those that did not answer stand last.
pub(super) fn read(json: &[u8]) -> Result<Vec<Afar>, serde_json::Error> {
    let Answer { items, errors } = serde_json::from_slice(json)?;
    let silent = errors.into_iter().map(|silent| Afar { health: UNREACHABLE.to_owned(), ..silent });
    Ok(items.into_iter().chain(silent).collect())
}

impl Afar {
    /// By what it is remembered.
    pub fn key(&self) -> String {
        format!("{}/{}", self.fleet, self.id)
    }

    /// Is its fleet another one than this machine's own?
    pub fn is_elsewhere(&self) -> bool {
        self.fleet != HERE
    }

    pub fn answered(&self) -> bool {
        !self.id.is_empty()
    }

    pub(super) fn clean(&mut self) {
        let labels = std::mem::take(&mut self.labels).into_iter();
        let mended = |mut text: String| {
            clean::mend(&mut text);
            text
        };
        self.labels = labels.map(|(key, value)| (mended(key), mended(value))).collect();
        [&mut self.fleet, &mut self.id, &mut self.name, &mut self.health, &mut self.availability, &mut self.version, &mut self.reason]
            .into_iter()
            .for_each(clean::mend);
        self.projects.iter_mut().for_each(clean::mend);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_that_did_not_answer_is_a_line_among_the_nodes() {
        let json = br#"{"items":[{"fleet":"home","id":"n1.1","name":"anvil\u001b","health":"healthy","round_trip_seconds":0.012,"cause":null}],
            "errors":[{"fleet":"work","reason":"out of reach"}]}"#;
        let mut read = read(json).unwrap();
        read.iter_mut().for_each(Afar::clean);
        let node = Afar { fleet: "home".into(), id: "n1.1".into(), name: "anvil\\u{1b}".into(), health: "healthy".into(), ..Afar::default() };
        let silent = Afar { fleet: "work".into(), health: UNREACHABLE.into(), reason: "out of reach".into(), ..Afar::default() };
        assert_eq!(read, [Afar { round_trip: Some(Span::from_millis(12)), ..node }, silent]);
        assert!(read[0].answered() && !read[1].answered());
    }
}
