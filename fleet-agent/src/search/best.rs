//! The best names so far, bounded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How well a name fits, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fit {
    Exact,
    Prefix,
    Substring,
    /// By nucleo's score, the highest first.
    Fuzzy(std::cmp::Reverse<u32>),
}

impl Fit {
    pub const fn name(self) -> &'static str {
        match self {
            Fit::Exact => "exact",
            Fit::Prefix => "prefix",
            Fit::Substring => "substring",
            Fit::Fuzzy(_) => "fuzzy",
        }
    }
}

/// A name that fits, in the order in which names are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    pub fit: Fit,
    /// It fits only when upper and lower case are the same.
    recased: bool,
    length: usize,
    #[serde(with = "serde_bytes")]
    name: Vec<u8>,
}

/// A list of names and the name's number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Index(u32),
    /// The pack of this number, of those that are looked through.
    Pack(u32, u32),
    /// What a node found, by its number among all that nodes found.
    Away(u32),
}

/// The best names so far and where they are.
pub struct Best {
    pub names: BTreeMap<Key, Vec<Place>>,
    names_max: usize,
    /// There were others.
    pub dropped: bool,
}

impl Best {
    pub fn new(names_max: usize) -> Best {
        Best { names: BTreeMap::new(), names_max, dropped: false }
    }

    /// Most names of a large tree end here, without a copy being made of them.
    pub fn offer(&mut self, (fit, recased): (Fit, bool), name: &[u8], place: Place) {
        if self.names.len() >= self.names_max {
            let worst = self.names.last_key_value().map(|(key, _)| (key.fit, key.recased, key.length, key.name.as_slice()));
            if worst.is_some_and(|worst| worst < (fit, recased, name.len(), name)) {
                self.dropped = true;
                return;
            }
        }
        self.insert(Key { fit, recased, length: name.len(), name: name.to_vec() }, &[place]);
    }

    pub fn insert(&mut self, key: Key, places: &[Place]) {
        self.names.entry(key).or_default().extend_from_slice(places);
        if self.names.len() > self.names_max {
            self.names.pop_last();
            self.dropped = true;
        }
    }

    pub fn merge(&mut self, other: Best) {
        self.dropped |= other.dropped;
        other.names.into_iter().for_each(|(key, places)| self.insert(key, &places));
    }
}
