//! Lists: what stands in each of them, by what an entry is remembered, and what a filter looks at.

use std::collections::BTreeSet;

use super::{
    filter::Filter,
    state::{Screen, State},
};
use crate::report::text::timestamp;

/// A person's place in a list. The entry is remembered and not its number: what is selected stays when others come and go.
#[derive(Clone, Debug)]
pub struct List {
    pub selected: Option<String>,
    /// The place of the selected entry among those shown.
    pub at: usize,
    /// Its place among all.
    pub place: usize,
    /// The first entry on the screen.
    pub top: usize,
    pub filter: Filter,
    /// Those that an action is for, instead of the selected one.
    pub marked: BTreeSet<String>,
    /// The last one is selected, also when there is another last one.
    pub follows: bool,
}

impl Default for List {
    fn default() -> List {
        List { selected: None, at: 0, place: 0, top: 0, filter: Filter::default(), marked: BTreeSet::new(), follows: true }
    }
}

impl Screen {
    /// Does the newest stand at the end, where a reader follows it?
    pub const fn grows_at_its_end(self) -> bool {
        matches!(self, Screen::Events | Screen::Audit)
    }
}

/// A field that can be named in a filter, and what it holds.
type Field = (&'static str, String);

impl State {
    /// How many entries the present list has.
    pub fn entries(&self) -> usize {
        match self.screen {
            Screen::Fleet => self.fleet.nodes.len(),
            Screen::Jobs => self.fleet.jobs.len(),
            Screen::Projects => self.fleet.projects.len(),
            Screen::Nearby => self.nearby().len(),
            Screen::Events => self.events.len(),
            Screen::Audit => self.asked.audit.len(),
            Screen::Log => self.log.entries().len(),
            Screen::Sparks => self.sparks().len(),
            Screen::Symbols => self.asked.found().len(),
        }
    }

    /// The places of what passes the filter.
    pub fn passing(&self) -> Vec<usize> {
        let filter = &self.list().filter;
        (0..self.entries()).filter(|place| filter.passes(|| self.fields(*place))).collect()
    }

    /// By what an entry of the present list is remembered.
    pub fn key_of(&self, place: usize) -> String {
        match self.screen {
            Screen::Fleet => self.fleet.nodes[place].id.clone(),
            Screen::Jobs => self.fleet.jobs[place].id.to_string(),
            Screen::Projects => self.fleet.projects[place].id.to_string(),
            Screen::Nearby => self.nearby()[place].key.clone(),
            Screen::Events => self.events[place].number.to_string(),
            Screen::Audit => self.asked.audit[place].number.to_string(),
            Screen::Log => self.log.entries()[place].number.to_string(),
            Screen::Sparks => self.sparks()[place].id.to_string(),
            Screen::Symbols => place.to_string(),
        }
    }

    /// What a filter looks at.
    fn fields(&self, place: usize) -> Vec<Field> {
        match self.screen {
            Screen::Fleet => self.node_fields(place),
            Screen::Jobs => self.job_fields(place),
            Screen::Projects => {
                let project = &self.fleet.projects[place];
                vec![("name", project.name.clone()), ("project", project.id.to_string()), ("folder", project.root.clone())]
            }
            Screen::Nearby => {
                let seen = &self.nearby()[place];
                let state = if seen.paired { "paired" } else { "unpaired" };
                vec![("name", seen.name.clone()), ("key", seen.key.clone()), ("state", state.into()), ("address", seen.addresses.join(" "))]
            }
            Screen::Events => {
                let event = &self.events[place];
                vec![("kind", event.kind.clone()), ("of", event.subject.clone()), ("text", event.text.clone()), ("at", timestamp(event.at))]
            }
            Screen::Audit => {
                let record = &self.asked.audit[place];
                let [by, action, subject, outcome] = [&record.by, &record.action, &record.subject, &record.outcome].map(Clone::clone);
                vec![("by", by), ("action", action), ("subject", subject), ("outcome", outcome), ("at", record.at.clone())]
            }
            Screen::Log => vec![("command", self.log.entries()[place].line.clone())],
            Screen::Sparks => {
                let spark = &self.sparks()[place];
                vec![
                    ("spark", spark.id.to_string()),
                    ("status", spark.status.clone()),
                    ("node", spark.node.clone().unwrap_or_default()),
                    ("what", spark.what.clone()),
                ]
            }
            Screen::Symbols => {
                let found = &self.asked.found()[place];
                vec![("name", found.name.clone()), ("kind", found.kind.clone()), ("language", found.language.clone()), ("file", found.path.clone())]
            }
        }
    }

    fn node_fields(&self, place: usize) -> Vec<Field> {
        let node = &self.fleet.nodes[place];
        let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            ("name", node.name.clone()),
            ("node", node.id.clone()),
            ("health", node.health.clone()),
            ("state", node.availability.clone()),
            ("labels", labels.join(" ")),
        ]
    }

    fn job_fields(&self, place: usize) -> Vec<Field> {
        let job = &self.fleet.jobs[place];
        vec![
            ("job", job.id.to_string()),
            ("project", job.project.clone().unwrap_or_default()),
            ("type", job.job_type.name().to_owned()),
            ("status", job.status.name().to_owned()),
            ("priority", job.priority.name().to_owned()),
        ]
    }
}
