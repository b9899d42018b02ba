//! Everything that can be configured, in one table, and what it was set to: by the file, and over it by the environment. Flags win over both.

use std::{collections::BTreeMap, fmt};

use bitacora_core::{fleet::NodeSelector, time::Span};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::file::{self, Entry, Mistake, Place};
use crate::{
    cli::dashboard::ThemeKind,
    tui::{
        actions::{ACTIONS, Row},
        keymap::Key,
        screens::column_names,
        state::{Asks, Options, REFRESH_LEAST, Screen},
    },
};

/// Of what is set in the environment.
const ENVIRONMENT: &str = "BITACORA_";
/// A minute: nobody means more.
const REFRESH_MS_MAX: u64 = 60_000;
const UNASKED_MAX: usize = 100;

/// The whole configuration.
#[derive(Default)]
pub(in crate::cli) struct Config {
    /// As the terminal says where there is none.
    pub(in crate::cli) theme: Option<ThemeKind>,
    pub(in crate::cli) unicode: Option<bool>,
    pub(in crate::cli) options: Options,
    origins: BTreeMap<String, Origin>,
}

/// Who has set something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Origin {
    #[default]
    Default,
    File(usize),
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(line) => write!(f, "file, line {line}"),
            Origin::Environment(name) => write!(f, "environment, {name}"),
        }
    }
}

/// A setting of one value.
struct Scalar {
    name: &'static str,
    /// What it may be, for people.
    allowed: &'static str,
    read: fn(&mut Config, &str) -> Option<()>,
    show: fn(&Config) -> Value,
}

const SCALARS: [Scalar; 8] = [
    Scalar {
        name: "theme",
        allowed: "auto, dark, light, high-contrast or mono",
        read: |config, text| {
            config.theme = if text == "auto" { None } else { Some(ThemeKind::from_str(text, false).ok()?) };
            Some(())
        },
        show: |config| json!(config.theme.and_then(|theme| theme.to_possible_value()).map_or("auto".to_owned(), |value| value.get_name().to_owned())),
    },
    Scalar {
        name: "signs",
        allowed: "auto, unicode or ascii",
        read: |config, text| {
            config.unicode = chosen(text, &[("auto", None), ("unicode", Some(true)), ("ascii", Some(false))])?;
            Some(())
        },
        show: |config| json!(config.unicode.map_or("auto", |is| if is { "unicode" } else { "ascii" })),
    },
    Scalar {
        name: "motion",
        allowed: "true or false",
        read: |config, text| {
            config.options.motion = text.parse().ok()?;
            Some(())
        },
        show: |config| json!(config.options.motion),
    },
    Scalar {
        name: "read-only",
        allowed: "true or false",
        read: |config, text| {
            config.options.read_only = text.parse().ok()?;
            Some(())
        },
        show: |config| json!(config.options.read_only),
    },
    Scalar {
        name: "read-only-nodes",
        allowed: "nodes by name, or by label as zone=prod, to which nothing is done from here; empty for none",
        read: |config, text| {
            config.options.read_only_nodes = if text.is_empty() { NodeSelector::default() } else { text.parse().ok()? };
            Some(())
        },
        show: |config| json!(config.options.read_only_nodes.to_string()),
    },
    Scalar {
        name: "confirm",
        allowed: "everything, disruptive or final: the least that is asked about first",
        read: |config, text| {
            config.options.asks = chosen(text, &ASKS)?;
            Some(())
        },
        show: |config| json!(ASKS.iter().find(|(_, asks)| *asks == config.options.asks).map(|(name, _)| *name)),
    },
    Scalar {
        name: "confirm-more-than",
        allowed: "a number from 1 to 100: more entries at once are asked about in any case",
        read: |config, text| {
            config.options.unasked_max = text.parse().ok().filter(|count| (1..=UNASKED_MAX).contains(count))?;
            Some(())
        },
        show: |config| json!(config.options.unasked_max),
    },
    Scalar {
        name: "refresh-ms",
        allowed: "a number from 15 to 60000: between two frames that no key asked for",
        read: |config, text| {
            let least = REFRESH_LEAST.0 / 1000;
            config.options.refresh = Span::from_millis(text.parse().ok().filter(|ms| (least..=REFRESH_MS_MAX).contains(ms))?);
            Some(())
        },
        show: |config| json!(config.options.refresh.0 / 1000),
    },
];

const ASKS: [(&str, Asks); 3] = [("everything", Asks::Everything), ("disruptive", Asks::Disruptive), ("final", Asks::Final)];

fn chosen<T: Copy>(text: &str, all: &[(&str, T)]) -> Option<T> {
    all.iter().find(|(name, _)| *name == text).map(|(_, chosen)| *chosen)
}

/// What a key is about.
enum Subject {
    Scalar(&'static Scalar),
    Columns(Screen),
    Keys(&'static Row),
}

impl Subject {
    fn of(key: &str) -> Option<Subject> {
        let scalar = SCALARS.iter().find(|scalar| scalar.name == key).map(Subject::Scalar);
        let columns = || Screen::ALL.into_iter().find(|screen| key.strip_prefix("columns.") == Some(screen.name())).map(Subject::Columns);
        let keys = || ACTIONS.iter().find(|row| key.strip_prefix("keys.") == Some(row.name)).map(Subject::Keys);
        scalar.or_else(columns).or_else(keys)
    }
}

/// Every key that there is.
pub(super) fn names() -> Vec<String> {
    let scalars = SCALARS.iter().map(|scalar| scalar.name.to_owned());
    let columns = Screen::ALL.iter().map(|screen| format!("columns.{}", screen.name()));
    scalars.chain(columns).chain(ACTIONS.iter().map(|row| format!("keys.{}", row.name))).collect()
}

/// Is it a list of values?
pub(super) fn is_list(key: &str) -> bool {
    matches!(Subject::of(key), Some(Subject::Columns(_) | Subject::Keys(_)))
}

pub(super) fn unknown(key: &str) -> String {
    format!("there is no setting {key:?}{}", nearest(key, &names()))
}

fn nearest(wanted: &str, known: &[String]) -> String {
    let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, wanted));
    nearest.map(|nearest| format!("; did you mean {nearest:?}?")).unwrap_or_default()
}

impl Config {
    /// As a file's text says; what is wrong with it is in the order in which it stands there.
    pub(super) fn of_text(text: &str) -> Result<Config, Vec<Mistake>> {
        let (entries, mut mistakes) = file::entries(text);
        let mut config = Config::default();
        for entry in &entries {
            match config.take(entry) {
                Ok(()) => drop(config.origins.insert(entry.key.clone(), Origin::File(entry.at.line))),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        mistakes.extend(config.conflicts(&entries));
        mistakes.sort();
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    /// What the environment says wins; what is wrong with it is said in one line.
    pub(super) fn hear(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<(), String> {
        if variable("NO_MOTION").is_some_and(|value| !value.is_empty()) {
            self.options.motion = false;
            self.origins.insert("motion".to_owned(), Origin::Environment("NO_MOTION".to_owned()));
        }
        for scalar in &SCALARS {
            let name = format!("{ENVIRONMENT}{}", scalar.name.to_ascii_uppercase().replace('-', "_"));
            let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
            (scalar.read)(self, &text).ok_or_else(|| format!("{name} in the environment is {text:?}; it may be {}", scalar.allowed))?;
            self.origins.insert(scalar.name.to_owned(), Origin::Environment(name));
        }
        Ok(())
    }

    fn take(&mut self, entry: &Entry) -> Result<(), Mistake> {
        match Subject::of(&entry.key) {
            None => Err(Mistake { at: entry.at, what: unknown(&entry.key) }),
            Some(Subject::Scalar(scalar)) => {
                let wrong = |at: Place, said: &str| Mistake { at, what: format!("{} is {said}; it may be {}", entry.key, scalar.allowed) };
                match entry.values.as_slice() {
                    [(text, at)] if !entry.is_list => (scalar.read)(self, text).ok_or_else(|| wrong(*at, &format!("{text:?}"))),
                    _ => Err(wrong(entry.at, "a list")),
                }
            }
            Some(Subject::Columns(screen)) => self.take_columns(screen, entry),
            Some(Subject::Keys(row)) => {
                let key = |(name, at): &(String, Place)| Key::named(name).ok_or_else(|| Mistake { at: *at, what: no_key(name) });
                let keys = entry.values.iter().map(key).collect::<Result<_, _>>()?;
                self.options.keymap.bind(row.id, keys);
                Ok(())
            }
        }
    }

    fn take_columns(&mut self, screen: Screen, entry: &Entry) -> Result<(), Mistake> {
        let known = column_names(screen);
        let mut places = Vec::new();
        for (name, at) in &entry.values {
            let wrong = |what: String| Mistake { at: *at, what };
            let place = known.iter().position(|column| column == name);
            let place = place.ok_or_else(|| wrong(format!("{} has no column {name:?}{}", screen.name(), nearest(name, &known))))?;
            if places.contains(&place) {
                return Err(wrong(format!("the column {name:?} stands twice")));
            }
            places.push(place);
        }
        if places.is_empty() {
            return Err(Mistake { at: entry.at, what: format!("a table has at least one column; there are {}", known.join(", ")) });
        }
        self.options.columns[screen as usize] = places;
        Ok(())
    }

    /// Keys that mean two things, where the file says so last.
    fn conflicts(&self, entries: &[Entry]) -> Vec<Mistake> {
        let of = |row: &Row| entries.iter().filter(|entry| entry.key == format!("keys.{}", row.name)).map(|entry| entry.at).max();
        let conflicts = self.options.keymap.conflicts();
        let mistake = |conflict: &crate::tui::keymap::Conflict| {
            let [one, other] = conflict.rows;
            let what = format!("{} would mean both {} and {}; give one of them another key, or none: []", conflict.key.name(), one.name, other.name);
            // The table itself has none: one of the two was set.
            of(one).max(of(other)).map(|at| Mistake { at, what })
        };
        conflicts.iter().filter_map(mistake).collect()
    }

    /// What a key is set to; `None` for one that there is not.
    pub(super) fn value(&self, key: &str) -> Option<Value> {
        Some(match Subject::of(key)? {
            Subject::Scalar(scalar) => (scalar.show)(self),
            Subject::Columns(screen) => {
                let (known, wanted) = (column_names(screen), &self.options.columns[screen as usize]);
                if wanted.is_empty() { json!(known) } else { json!(wanted.iter().map(|place| &known[*place]).collect::<Vec<_>>()) }
            }
            Subject::Keys(row) => json!(self.options.keymap.keys(row).iter().map(|key| key.name()).collect::<Vec<_>>()),
        })
    }

    pub(super) fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or_default()
    }
}

fn no_key(name: &str) -> String {
    format!(
        "{name:?} is no key that can be chosen; keys are a letter, digit or sign, ctrl-a to ctrl-y but ctrl-c, ctrl-h, ctrl-i, ctrl-j and ctrl-m, and space, \
         enter, esc, tab, shift-tab, backspace, delete, up, down, left, right, home, end, page-up, page-down"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::actions::{ActionId, Scope};

    fn wrong(text: &str) -> Vec<String> {
        let mistakes = Config::of_text(text).err().unwrap_or_default();
        mistakes.iter().map(|mistake| format!("{}: {}", mistake.at, mistake.what)).collect()
    }

    #[test]
    fn a_file_says_what_is_wanted() {
        let text = "theme = \"light\"\nmotion = false\nconfirm = \"everything\"\nrefresh-ms = 1000\n[columns]\nfleet = [\"name\", \"last-minute\"]\n[keys]\n\
                    drain = \"D\"\ncordon = []\n";
        let config = Config::of_text(text).map_err(|mistakes| format!("{mistakes:?}")).unwrap();
        assert_eq!((config.options.asks, config.options.motion, config.options.refresh), (Asks::Everything, false, Span::from_secs(1)));
        assert_eq!(config.options.columns[Screen::Fleet as usize], [1, 4]);
        let bound = |key| config.options.keymap.bound(Scope::Fleet, Key::Char(key)).map(|row| row.id);
        assert_eq!([bound('D'), bound('d'), bound('c')], [Some(ActionId::Drain), None, None]);
        assert_eq!(config.value("columns.fleet"), Some(json!(["name", "last-minute"])));
        assert_eq!((config.origin("keys.drain"), config.origin("keys.help")), (Origin::File(8), Origin::Default));
    }

    #[test]
    fn a_mistake_is_named_with_its_place_and_what_is_allowed() {
        let only = |text: &str, says: &[&str]| {
            let said = wrong(text);
            assert!(said.len() == 1 && says.iter().all(|part| said[0].contains(part)), "{text:?}: {said:?}");
        };
        only("\nthme = \"dark\"\n", &["2:1: ", "\"thme\"", "\"theme\""]);
        only("theme = \"drak\"", &["1:9: ", "drak", "high-contrast"]);
        only("theme = [\"dark\"]", &["1:1: ", "list"]);
        only("motion = 1", &["1:10: ", "true or false"]);
        only("refresh-ms = 5", &["1:14: ", "15 to 60000"]);
        only("[columns]\nfleet = [\"name\", \"lod\"]", &["2:18: ", "\"load\""]);
        only("[columns]\nfleet = []", &["2:1: ", "health, name"]);
        only("[columns]\nfleet = [\"name\", \"name\"]", &["2:18: ", "twice"]);
        only("[keys]\ndrian = \"D\"", &["2:1: ", "keys.drain"]);
        only("[keys]\ndrain = \"F5\"", &["2:9: ", "page-down"]);
        only("[keys]\ndrain = [\"c\"]\n", &["2:1: ", "c would mean both cordon and drain"]);
        only("[keys]\nhelp = \"k\"\nup = [\"up\"]\ndown = [\"k\"]\n", &["4:1: ", "help and down"]);
        assert_eq!(wrong("a = 1\nb = 2\nc = 1.5\n").len(), 3, "everything at once");
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let mut config = Config::of_text("theme = \"light\"\n").unwrap_or_default();
        let said = |name: &str| [("BITACORA_THEME", "mono"), ("BITACORA_READ_ONLY", "true"), ("NO_MOTION", "1")].into_iter().find(|(known, _)| *known == name);
        config.hear(|name| said(name).map(|(_, value)| value.to_owned())).unwrap();
        assert_eq!((config.value("theme"), config.options.read_only, config.options.motion), (Some(json!("mono")), true, false));
        assert_eq!(config.origin("theme"), Origin::Environment("BITACORA_THEME".into()));
        assert!(
            config.hear(|name| (name == "BITACORA_SIGNS").then(|| "x".into())).is_err_and(|said| said.contains("BITACORA_SIGNS") && said.contains("ascii"))
        );
    }

    #[test]
    fn what_is_shown_could_be_set() {
        let config = Config::default();
        let mut text = String::new();
        for name in names() {
            let value = config.value(&name).unwrap();
            let part = name.rsplit('.').next().unwrap();
            let section = name.split('.').next().unwrap();
            text.push_str(&if section == part { format!("{name} = {value}\n") } else { format!("{section}.{part} = {value}\n") });
        }
        assert_eq!(wrong(&text), [""; 0], "{text}");
    }
}
