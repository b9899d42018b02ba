//! What a node says about itself: what it is, once, and how loaded it is, with every heartbeat. Integers only.
//!
//! All of it is a claim. Whoever keeps it calls [`NodeProfile::bounded`] and [`Load::bounded`] first.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{
    configuration::KEYS_MAX,
    warrant::{Acceptance, NAMES_MAX},
};
use crate::time::Span;

/// Characters of a text that a node says of itself: the longest host name has 253.
pub const TEXT_CHARS_MAX: usize = 256;
/// Labels that a node may say, and that a person may give it.
pub const LABELS_MAX: usize = 64;
/// Characters of a label's key, and of its value.
pub const LABEL_CHARS_MAX: usize = 63;
/// Cores whose load is kept one by one.
pub const CORES_MAX: usize = 1024;
/// Folders of the master's that a node says to have, and bytes of the path of one.
pub const SOURCES_MAX: usize = 64;
const PATH_BYTES_MAX: usize = 4096;
/// Words that name a specialisation, known here or not.
const SPECIALISATIONS_MAX: usize = 16;

/// Keys and values, both short words: see [`is_label`].
pub type Labels = BTreeMap<String, String>;

/// What a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeProfile {
    pub host: String,
    /// With its version.
    pub os: String,
    pub arch: String,
    /// That it may use: fewer than the machine's where a control group says so.
    pub cores: u32,
    pub memory_bytes: u64,
    pub gpus: u32,
    /// Of the program.
    pub version: String,
    /// Tells two builds of the same version apart.
    pub build: String,
    pub labels: Labels,
    /// Words of the closed list; a newer node may know more of them.
    pub specialisations: Vec<String>,
    /// Keys of its configuration that a master may change.
    pub changeable: Vec<String>,
    /// Where other nodes may ask it for contents, by UDP; none where it gives nothing.
    pub lends_on: Option<u16>,
    /// Where its master may call it, by UDP and TCP; none where it only dials.
    pub answers_on: Option<u16>,
    /// Which of the master's trees are on its disk too.
    #[serde(skip_serializing_if = "Sources::is_empty")]
    pub sources: Sources,
    /// For whom and for what it works, as its owner has it.
    #[serde(skip_serializing_if = "Acceptance::is_open")]
    pub accepts: Acceptance,
}

impl NodeProfile {
    /// Cut to what a master keeps of one node, and without what would steer a terminal. A label that is none is left out.
    pub fn bounded(self) -> NodeProfile {
        let text = |text: String| text.chars().filter(|c| !steers(*c)).take(TEXT_CHARS_MAX).collect();
        let names = |names: Vec<String>| names.into_iter().take(NAMES_MAX).map(text).collect();
        let labels = self.labels.into_iter().filter(|(key, value)| is_label(key, value)).take(LABELS_MAX).collect();
        NodeProfile {
            host: text(self.host),
            os: text(self.os),
            arch: text(self.arch),
            version: text(self.version),
            build: text(self.build),
            labels,
            specialisations: self.specialisations.into_iter().take(SPECIALISATIONS_MAX).map(text).collect(),
            changeable: self.changeable.into_iter().take(KEYS_MAX).map(text).collect(),
            sources: self.sources.bounded(),
            accepts: Acceptance { projects: names(self.accepts.projects), devices: names(self.accepts.devices) },
            ..self
        }
    }

    /// Is work of this kind for it? A node that names none, or none that is known here, takes everything.
    pub fn takes(&self, kind: Specialisation) -> bool {
        let mut known = self.specialisations.iter().filter_map(|word| Specialisation::named(word)).peekable();
        known.peek().is_none() || known.any(|special| special == kind || special == Specialisation::GeneralPurpose)
    }
}

/// What a node sees of the master's disk, by its owner's word. Whoever reads there still checks what he reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sources {
    /// It is the same machine.
    pub everything: bool,
    /// Folders as the master names them, with all that lies in them.
    pub folders: Vec<ByteBuf>,
}

impl Sources {
    pub fn is_empty(&self) -> bool {
        !self.everything && self.folders.is_empty()
    }

    /// Is this tree among it?
    pub fn hold(&self, tree: &[u8]) -> bool {
        let holds = |folder: &ByteBuf| {
            let folder = folder.strip_suffix(b"/").unwrap_or(folder);
            tree.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.everything || self.folders.iter().any(holds)
    }

    fn bounded(self) -> Sources {
        let folders = self.folders.into_iter().filter(|folder| folder.len() <= PATH_BYTES_MAX).take(SOURCES_MAX).collect();
        Sources { folders, ..self }
    }
}

/// Control characters, and those that turn the direction of what stands beside them.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Letters, digits and `-_./`, beginning with a letter or digit; a value may be empty. So that a label is one word
/// wherever it stands: on a command line, in a selector, on a screen.
pub fn is_label(key: &str, value: &str) -> bool {
    let fits = |word: &str| word.len() <= LABEL_CHARS_MAX && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    let begins = key.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    begins && !key.ends_with('-') && fits(key) && fits(value)
}

/// How loaded a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Of all its cores together, in thousandths.
    pub cpu_permille: u16,
    /// Of each core.
    pub cores_permille: Vec<u16>,
    pub memory_bytes: u64,
    pub memory_available_bytes: u64,
    /// Of the disk that holds its data directory.
    pub disk_bytes: u64,
    pub disk_free_bytes: u64,
    pub received_bytes_per_second: u64,
    pub sent_bytes_per_second: u64,
    /// Of the hottest part that tells.
    pub temperature_millicelsius: Option<i32>,
    /// How long its process has been running.
    pub running: Span,
    /// What it was asked to do since then and did not: by a master that was replaced, or for whom or what its owner does not let it work.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// Contents and packs that it was brought since then, and those that it gave to others, unpacked.
    pub from_master_bytes: u64,
    pub from_neighbours_bytes: u64,
    pub to_neighbours_bytes: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Load {
    /// Cut to what a master keeps of one node.
    pub fn bounded(mut self) -> Load {
        self.cpu_permille = self.cpu_permille.min(1000);
        self.cores_permille.truncate(CORES_MAX);
        self
    }
}

/// The closed list of what a node may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Specialisation {
    Parsing,
    RuleExecution,
    AiAnalysis,
    EmbeddingGeneration,
    MetricsCalculation,
    SecurityAnalysis,
    PerformanceAnalysis,
    GeneralPurpose,
}

impl Specialisation {
    pub const ALL: [Specialisation; 8] = [
        Specialisation::Parsing,
        Specialisation::RuleExecution,
        Specialisation::AiAnalysis,
        Specialisation::EmbeddingGeneration,
        Specialisation::MetricsCalculation,
        Specialisation::SecurityAnalysis,
        Specialisation::PerformanceAnalysis,
        Specialisation::GeneralPurpose,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Specialisation::Parsing => "parsing",
            Specialisation::RuleExecution => "rule-execution",
            Specialisation::AiAnalysis => "ai-analysis",
            Specialisation::EmbeddingGeneration => "embedding-generation",
            Specialisation::MetricsCalculation => "metrics-calculation",
            Specialisation::SecurityAnalysis => "security-analysis",
            Specialisation::PerformanceAnalysis => "performance-analysis",
            Specialisation::GeneralPurpose => "general-purpose",
        }
    }

    pub fn named(word: &str) -> Option<Specialisation> {
        Specialisation::ALL.into_iter().find(|special| special.name() == word)
    }
}

/// Why a text is no label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoLabel(pub String);

impl core::fmt::Display for NoLabel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} is no label: it is KEY=VALUE of letters, digits and -_./, at most {LABEL_CHARS_MAX} each", self.0)
    }
}

impl core::error::Error for NoLabel {}

/// Reads `key=value`.
pub fn label(text: &str) -> Result<(String, String), NoLabel> {
    let (key, value) = text.split_once('=').ok_or_else(|| NoLabel(text.to_string()))?;
    if is_label(key, value) { Ok((key.to_string(), value.to_string())) } else { Err(NoLabel(text.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_words() {
        assert_eq!(label("zone=eu-1"), Ok(("zone".into(), "eu-1".into())));
        assert_eq!(label("fast="), Ok(("fast".into(), String::new())));
        for text in ["zone", "=eu", "a b=c", "zone=\u{1b}[2J", "-x=1", "zone-=1", "a=b=c", "a,b=c"] {
            assert!(label(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_a_node_says_is_cut() {
        let labels = (0..1000).map(|number| (alloc::format!("k{number}"), "v".to_string())).chain([("\u{7}".into(), "v".into())]);
        let profile = NodeProfile { host: "h".repeat(10_000), labels: labels.collect(), ..NodeProfile::default() }.bounded();
        assert_eq!((profile.host.len(), profile.labels.len()), (TEXT_CHARS_MAX, LABELS_MAX));
        let hostile = NodeProfile { os: "a\u{1b}[2J\u{202e}b\n".into(), ..NodeProfile::default() }.bounded();
        assert_eq!(hostile.os, "a[2Jb");
        let load = Load { cpu_permille: 60_000, cores_permille: alloc::vec![1; 5000], ..Load::default() }.bounded();
        assert_eq!((load.cpu_permille, load.cores_permille.len()), (1000, CORES_MAX));
    }

    #[test]
    fn a_tree_is_held_by_the_folders_above_it() {
        let sources = Sources { everything: false, folders: [&b"/srv/src"[..], b"/home/"].map(|folder| ByteBuf::from(folder.to_vec())).to_vec() };
        for (tree, held) in [("/srv/src", true), ("/srv/src/a", true), ("/srv/srcs", false), ("/srv", false), ("/home/ada", true), ("/", false)] {
            assert_eq!(sources.hold(tree.as_bytes()), held, "{tree}");
        }
        assert!(Sources { everything: true, folders: Vec::new() }.hold(b"/any"));
    }

    #[test]
    fn specialised_nodes_take_what_they_are_for() {
        let node = |words: &[&str]| NodeProfile { specialisations: words.iter().map(ToString::to_string).collect(), ..NodeProfile::default() };
        assert!(node(&[]).takes(Specialisation::Parsing));
        assert!(node(&["of-the-future"]).takes(Specialisation::Parsing));
        assert!(node(&["parsing", "ai-analysis"]).takes(Specialisation::Parsing));
        assert!(node(&["general-purpose"]).takes(Specialisation::Parsing));
        assert!(!node(&["ai-analysis"]).takes(Specialisation::Parsing));
    }
}
