//! What a master may change of this node's configuration, where it is kept, and how a change is taken back.
//!
//! Only keys that the node's owner lets be changed; which programs may run here is never one of them. In the node's folder
//! `configuration.toml` is what it lives by. While a change is on trial, `configuration.before` is what it goes back to: found
//! there at the start of a process, the trial was never passed.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use bitacora_core::{
    agent::Lived,
    time::Span,
    wire::{
        configuration::TEXT_BYTES_MAX,
        node::{LABELS_MAX, Labels, NodeProfile, Specialisation, label},
    },
};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{logging::Verbosity, sight::Sight};

const FILE: &str = "configuration.toml";
const BEFORE_FILE: &str = "configuration.before";
pub const LEAVE_SECONDS_MAX: u32 = 3600;
pub const CORES_MAX: u32 = 1024;

/// The keys that can be changed at all. Nothing that widens what a master can do here is one of them.
pub const CHANGEABLE: [&str; 5] = ["label", "specialise", "leave-max", "cores", "log"];

#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    #[error("a configuration has at most {TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// With the line and what is on it.
    #[error("{0}")]
    Syntax(#[from] Box<toml::de::Error>),
    #[error("the owner of this node does not let {0} be changed")]
    Kept(&'static str),
    #[error("nothing can be changed on this node")]
    Fixed,
    #[error("cannot {operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
}

/// What of a node's configuration can be changed while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub profile: NodeProfile,
    /// Sparks that run at the same time.
    pub slots: u32,
    /// How long it may finish what it runs when it is told to end.
    pub leave_max: Span,
    /// How much it says of its work.
    pub log: Verbosity,
}

impl Settings {
    /// As far as the node's own core knows of it.
    pub fn lived(&self) -> Lived {
        Lived { profile: Box::new(self.profile.clone()), slots: self.slots }
    }
}

/// A configuration as it is pushed: it takes the place of the one pushed before, and its keys that of the owner's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Pushed {
    #[serde(deserialize_with = "labels")]
    label: Option<Labels>,
    #[serde(deserialize_with = "specialisations")]
    specialise: Option<BTreeSet<String>>,
    #[serde(deserialize_with = "leave_max")]
    leave_max: Option<u32>,
    #[serde(deserialize_with = "cores")]
    cores: Option<u32>,
    log: Option<Verbosity>,
}

/// Checked while it is read, so that what is wrong is told with its line.
fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Labels>, D::Error> {
    let texts: Vec<String> = Vec::deserialize(deserializer)?;
    let labels: Labels = texts.iter().map(|text| label(text)).collect::<Result<_, _>>().map_err(D::Error::custom)?;
    if labels.len() > LABELS_MAX {
        return Err(D::Error::custom(format_args!("a node has at most {LABELS_MAX} labels")));
    }
    Ok(Some(labels))
}

fn specialisations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeSet<String>>, D::Error> {
    let words: BTreeSet<String> = BTreeSet::deserialize(deserializer)?;
    match words.iter().find(|word| Specialisation::named(word).is_none()) {
        Some(unknown) => Err(D::Error::custom(format_args!("{unknown:?} is no specialisation"))),
        None => Ok(Some(words)),
    }
}

fn leave_max<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let seconds = u32::deserialize(deserializer)?;
    if seconds > LEAVE_SECONDS_MAX { Err(D::Error::custom(format_args!("at most {LEAVE_SECONDS_MAX} seconds"))) } else { Ok(Some(seconds)) }
}

fn cores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let cores = u32::deserialize(deserializer)?;
    if (1..=CORES_MAX).contains(&cores) { Ok(Some(cores)) } else { Err(D::Error::custom(format_args!("cores are 1 to {CORES_MAX}"))) }
}

impl Pushed {
    /// Read and checked, wherever it comes from.
    pub fn parse(text: &str) -> Result<Pushed, ConfigurationError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ConfigurationError::TooLong);
        }
        Ok(toml::from_str(text).map_err(Box::new)?)
    }

    /// Those that it says something of.
    pub fn keys(&self) -> Vec<&'static str> {
        let said = [self.label.is_some(), self.specialise.is_some(), self.leave_max.is_some(), self.cores.is_some(), self.log.is_some()];
        CHANGEABLE.into_iter().zip(said).filter_map(|(key, said)| said.then_some(key)).collect()
    }

    /// A key that its owner took back meanwhile counts no more.
    fn over(self, own: &Settings, may: impl Fn(&str) -> bool) -> Settings {
        let labels = self.label.filter(|_| may("label")).unwrap_or_else(|| own.profile.labels.clone());
        let words = self.specialise.filter(|_| may("specialise")).map(|words| words.into_iter().collect());
        let specialisations = words.unwrap_or_else(|| own.profile.specialisations.clone());
        Settings {
            profile: NodeProfile { labels, specialisations, ..own.profile.clone() },
            slots: self.cores.filter(|_| may("cores")).unwrap_or(own.slots),
            leave_max: self.leave_max.filter(|_| may("leave-max")).map_or(own.leave_max, |seconds| Span::from_secs(seconds.into())),
            log: self.log.filter(|_| may("log")).unwrap_or(own.log),
        }
    }
}

/// Where a node keeps what a master has changed, and what its owner lets be changed.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// None where nothing can be changed.
    folder: Option<PathBuf>,
    changeable: Vec<String>,
    /// As its owner configured it.
    own: Settings,
}

impl Configuration {
    /// One that a master can change some keys of.
    pub fn kept_in(folder: &Path, changeable: Vec<String>, own: Settings) -> Configuration {
        let own = Settings { profile: NodeProfile { changeable: changeable.clone(), ..own.profile }, ..own };
        Configuration { folder: Some(folder.to_owned()), changeable, own }
    }

    pub fn fixed(own: Settings) -> Configuration {
        Configuration { folder: None, changeable: Vec::new(), own }
    }

    /// Says where its master, and neighbours if it has any, reach this node.
    pub fn answering_on(mut self, port: Option<u16>, lends: bool) -> Configuration {
        let profile = &mut self.own.profile;
        (profile.answers_on, profile.lends_on) = (port, port.filter(|_| lends));
        self
    }

    /// Says which of the master's trees are on this machine's disk.
    pub fn seeing(mut self, sight: &Sight) -> Configuration {
        self.own.profile.sources = sight.sources();
        self
    }

    pub fn own(&self) -> &Settings {
        &self.own
    }

    /// What this process is to live by: a trial that an earlier one did not pass is over.
    pub fn begin(&self) -> Result<Settings, ConfigurationError> {
        match &self.folder {
            None => Ok(self.own.clone()),
            Some(folder) if folder.join(BEFORE_FILE).exists() => self.take_back(),
            Some(folder) => self.present(folder),
        }
    }

    /// From now on this is what the node lives by, on trial.
    pub fn change(&self, text: &str) -> Result<Settings, ConfigurationError> {
        let folder = self.folder()?;
        let pushed = Pushed::parse(text)?;
        if let Some(kept) = pushed.keys().into_iter().find(|key| !self.may(key)) {
            return Err(ConfigurationError::Kept(kept));
        }
        let before = read(&folder.join(FILE))?.unwrap_or_default();
        // First what to go back to: whatever happens after this, it is there.
        write(folder, BEFORE_FILE, &before)?;
        write(folder, FILE, text)?;
        Ok(pushed.over(&self.own, |key| self.may(key)))
    }

    /// The trial is passed.
    pub fn keep(&self) -> Result<(), ConfigurationError> {
        let path = self.folder()?.join(BEFORE_FILE);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(ConfigurationError::Io { operation: "remove", path, source }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Back to what there was before the trial, which is the answer.
    pub fn take_back(&self) -> Result<Settings, ConfigurationError> {
        let folder = self.folder()?;
        let path = folder.join(BEFORE_FILE);
        fs::rename(&path, folder.join(FILE)).map_err(|source| ConfigurationError::Io { operation: "take back", path, source })?;
        self.present(folder)
    }

    fn folder(&self) -> Result<&Path, ConfigurationError> {
        self.folder.as_deref().ok_or(ConfigurationError::Fixed)
    }

    fn may(&self, key: &str) -> bool {
        self.changeable.iter().any(|changeable| changeable == key)
    }

    fn present(&self, folder: &Path) -> Result<Settings, ConfigurationError> {
        let pushed = Pushed::parse(&read(&folder.join(FILE))?.unwrap_or_default())?;
        Ok(pushed.over(&self.own, |key| self.may(key)))
    }
}

fn read(path: &Path) -> Result<Option<String>, ConfigurationError> {
    match fs::read_to_string(path) {
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|source| ConfigurationError::Io { operation: "read", path: path.to_owned(), source }),
    }
}

/// Synced before it takes its place: after a power cut it is the old one or the new one.
fn write(folder: &Path, name: &str, text: &str) -> Result<(), ConfigurationError> {
    let (path, beside) = (folder.join(name), folder.join(format!("{name}.new")));
    let written = File::create(&beside).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    let written = written.and_then(|()| fs::rename(&beside, &path)).and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|source| ConfigurationError::Io { operation: "write", path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Settings {
        Settings { slots: 1, leave_max: Span::from_secs(10), ..Settings::default() }
    }

    fn configuration(changeable: &[&str]) -> (tempfile::TempDir, Configuration) {
        let folder = tempfile::tempdir().unwrap();
        let configuration = Configuration::kept_in(folder.path(), changeable.iter().map(ToString::to_string).collect(), own());
        (folder, configuration)
    }

    #[test]
    fn what_widens_a_master_s_power_is_no_key() {
        for text in ["program = [\"sh\"]", "changeable = [\"cores\"]", "peer = \"a:1\"", "data-dir = \"/\"", "config = \"x\""] {
            assert!(matches!(Pushed::parse(text), Err(ConfigurationError::Syntax(_))), "{text}");
        }
        assert!(matches!(Pushed::parse(&"#".repeat(TEXT_BYTES_MAX + 1)), Err(ConfigurationError::TooLong)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for wrong in ["label = [\"a b\"]", "cores = 0", "leave-max = 9999", "specialise = [\"cooking\"]", "cores = ", "colour = 1"] {
            let error = Pushed::parse(&format!("# the rack\n{wrong}\n")).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{wrong}: {error}");
        }
        assert_eq!(Pushed::parse("cores = 2\nlabel = [\"a=b\"]").unwrap().keys(), ["label", "cores"]);
    }

    #[test]
    fn a_trial_that_is_not_passed_leaves_nothing() {
        let (_folder, configuration) = configuration(&["label", "cores"]);
        assert_eq!(&configuration.begin().unwrap(), configuration.own());
        configuration.change("cores = 2").unwrap();
        configuration.keep().unwrap();
        let kept = configuration.begin().unwrap();
        assert_eq!(kept.slots, 2);
        let tried = configuration.change("label = [\"a=b\"]").unwrap();
        assert_eq!((tried.slots, tried.profile.labels.len()), (1, 1), "what was pushed before counts no more");
        assert_eq!(configuration.take_back().unwrap(), kept);
        configuration.change("label = [\"a=b\"]").unwrap();
        assert_eq!(configuration.begin().unwrap(), kept, "its process ended before the master's word came");
        assert_eq!(configuration.begin().unwrap(), kept);
    }

    #[test]
    fn what_the_owner_keeps_is_not_changed_and_not_believed() {
        let (folder, first) = configuration(&["label"]);
        assert!(matches!(first.change("cores = 2"), Err(ConfigurationError::Kept("cores"))));
        assert!(!folder.path().join(FILE).exists());
        first.change("label = [\"a=b\"]").unwrap();
        first.keep().unwrap();
        let stricter = Configuration::kept_in(folder.path(), Vec::new(), own());
        assert_eq!(stricter.begin().unwrap(), own());
        assert!(matches!(Configuration::fixed(own()).change(""), Err(ConfigurationError::Fixed)));
    }
}
