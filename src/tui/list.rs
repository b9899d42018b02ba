//! Lists: what stands in each of them, by what an entry is remembered, and what a filter looks at.

use std::collections::BTreeSet;

use bitacora_core::wire;

use super::{
    filter::{Fields, Filter},
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
            Screen::Fleets => self.asked.fleets.len(),
            Screen::Sparks => self.sparks().len(),
            Screen::Symbols => self.asked.found().len(),
        }
    }

    /// The places of what passes the filter.
    pub fn passing(&self) -> Vec<usize> {
        let filter = &self.list().filter;
        if filter.is_empty() {
            return (0..self.entries()).collect();
        }
        let mut fields = Fields::default();
        let passes = |place: &usize| {
            fields.clear();
            self.tell_fields(*place, &mut fields);
            filter.passes(&fields)
        };
        (0..self.entries()).filter(passes).collect()
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
            Screen::Fleets => self.asked.fleets[place].key(),
            Screen::Sparks => self.sparks()[place].id.to_string(),
            Screen::Symbols => place.to_string(),
        }
    }

    /// What a filter looks at.
    fn tell_fields(&self, place: usize, fields: &mut Fields) {
        match self.screen {
            Screen::Fleet => self.node_fields(place, fields),
            Screen::Jobs => self.job_fields(place, fields),
            Screen::Projects => {
                let project = &self.fleet.projects[place];
                fields.add("name", &project.name);
                fields.add_shown("project", project.id);
                fields.add("folder", &project.root);
            }
            Screen::Nearby => {
                let seen = &self.nearby()[place];
                fields.add("name", &seen.name);
                fields.add("key", &seen.key);
                fields.add("state", if seen.paired { "paired" } else { "unpaired" });
                fields.add("address", &seen.addresses.join(" "));
            }
            Screen::Events => {
                let event = &self.events[place];
                [("kind", &event.kind), ("of", &event.subject), ("text", &event.text)].into_iter().for_each(|(name, value)| fields.add(name, value));
                fields.add("at", &timestamp(event.at));
            }
            Screen::Audit => {
                let record = &self.asked.audit[place];
                let named = [("by", &record.by), ("action", &record.action), ("subject", &record.subject), ("outcome", &record.outcome), ("at", &record.at)];
                named.into_iter().for_each(|(name, value)| fields.add(name, value));
            }
            Screen::Log => fields.add("command", &self.log.entries()[place].line),
            Screen::Fleets => {
                let afar = &self.asked.fleets[place];
                let named = [("fleet", &afar.fleet), ("name", &afar.name), ("node", &afar.id), ("health", &afar.health), ("state", &afar.availability)];
                named.into_iter().for_each(|(name, value)| fields.add(name, value));
                fields.add_shown("labels", Labels(&afar.labels));
            }
            Screen::Sparks => {
                let spark = &self.sparks()[place];
                fields.add_shown("spark", spark.id);
                fields.add("status", &spark.status);
                fields.add("node", spark.node.as_deref().unwrap_or_default());
                fields.add("what", &spark.what);
            }
            Screen::Symbols => {
                let found = &self.asked.found()[place];
                let named = [("name", &found.name), ("kind", &found.kind), ("language", &found.language), ("file", &found.path)];
                named.into_iter().for_each(|(name, value)| fields.add(name, value));
            }
        }
    }

    fn node_fields(&self, place: usize, fields: &mut Fields) {
        let node = &self.fleet.nodes[place];
        let named = [("name", &node.name), ("node", &node.id), ("health", &node.health), ("state", &node.availability)];
        named.into_iter().for_each(|(name, value)| fields.add(name, value));
        fields.add_shown("labels", Labels(&node.labels));
    }

    fn job_fields(&self, place: usize, fields: &mut Fields) {
        let job = &self.fleet.jobs[place];
        fields.add_shown("job", job.id);
        fields.add("project", job.project.as_deref().unwrap_or_default());
        fields.add("type", job.job_type.name());
        fields.add("status", job.status.name());
        fields.add("priority", job.priority.name());
    }
}

/// `key=value`, as a person filters by them.
struct Labels<'a>(&'a wire::node::Labels);

impl std::fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut between = "";
        for (key, value) in self.0 {
            [between, key, "=", value].into_iter().try_for_each(|part| f.write_str(part))?;
            between = " ";
        }
        Ok(())
    }
}
