//! `bitacora config …`: what the dashboard is to look like and to ask, and where that is said; and what nodes are to live by.

mod file;
mod push;
mod settings;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Subcommand;
use etcetera::BaseStrategy;
use fleet_agent::work::with_cause;
use serde::Serialize;
use serde_json::Value;
use toml_edit::{Array, DocumentMut, Item};

pub(super) use self::settings::Config;
use self::settings::{is_list, names, unknown};
use super::{
    Context, Given,
    manner::Trial,
    output::{Sink, Streams, UsageError, list_items},
};
use crate::{
    exit::Exit,
    report::{Format, table::Column, text::harmless},
};

/// Names the file, where --config does not.
const VARIABLE: &str = "BITACORA_CONFIG";

/// The settings of the dashboard: keys, theme, columns, refresh, what is asked about
///
/// They come from a TOML file, BITACORA_… in the environment wins over it, flags over both.
#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Lists every setting and what it is set to
    Show {
        /// Also who has set it
        #[arg(long)]
        origin: bool,
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Prints what one setting is set to, a line for each of its values
    Get {
        /// As `bitacora config show` lists it
        key: String,
    },
    /// Sets one in the file, which is checked first and keeps its comments
    Set {
        /// As `bitacora config show` lists it
        key: String,
        /// One value; of keys and columns as many as there are, and none for no key at all
        values: Vec<String>,
        #[command(flatten)]
        trial: Trial,
    },
    /// Takes one out of the file: it is then as if it had never been set
    Unset {
        /// As `bitacora config show` lists it
        key: String,
        #[command(flatten)]
        trial: Trial,
    },
    /// Checks the file, or another one
    Check {
        /// Another file than the one that is used
        file: Option<PathBuf>,
    },
    /// Prints where the file is, or would be
    Path,
    Push(push::Push),
}

#[derive(Serialize)]
struct SettingItem {
    key: String,
    value: Value,
    origin: String,
}

impl ConfigCommand {
    pub(super) fn run(self, streams: Streams, given: &Given) -> anyhow::Result<Exit> {
        match self {
            ConfigCommand::Show { origin, output } => show(&load(streams, given)?, streams, origin, output),
            ConfigCommand::Get { key } => get(&load(streams, given)?, &key),
            ConfigCommand::Set { key, values, trial } => set(streams, &path(given)?, &key, Some(values), trial.dry_run),
            ConfigCommand::Unset { key, trial } => set(streams, &path(given)?, &key, None, trial.dry_run),
            ConfigCommand::Check { file } => {
                let path = file.map_or_else(|| path(given), Ok)?;
                read(streams, &path)?;
                streams.note(&format!("{} is good", path.display()));
                Ok(Exit::Ok)
            }
            ConfigCommand::Path => print(&[path(given)?.display().to_string()]),
            ConfigCommand::Push(push) => Context::open(streams, given)?.map_or(Ok(Exit::NoMatch), |context| push.run(&context)),
        }
    }
}

/// Where the file is, or would be.
fn path(given: &Given) -> anyhow::Result<PathBuf> {
    let named = given.config.clone().or_else(|| env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from));
    match named {
        Some(path) => Ok(path),
        None => {
            Ok(etcetera::choose_base_strategy().context("there is no home directory; name a file with --config")?.config_dir().join("bitacora/config.toml"))
        }
    }
}

/// The configuration of the file, if there is one, and of the environment. One that was named has to be there.
pub(super) fn load(streams: Streams, given: &Given) -> anyhow::Result<Config> {
    let path = path(given)?;
    let is_named = given.config.is_some() || env::var_os(VARIABLE).is_some_and(|name| !name.is_empty());
    let mut config = if is_named || path.exists() { read(streams, &path)? } else { Config::default() };
    config.hear(|name| env::var(name).ok()).map_err(UsageError)?;
    Ok(config)
}

/// Says everything that is wrong with it.
fn read(streams: Streams, path: &Path) -> anyhow::Result<Config> {
    checked(streams, path, &file::read(path)?)
}

/// Whether it can be used, in one line.
pub(super) fn examine(given: &Given) -> Result<String, String> {
    let path = path(given).map_err(|error| format!("{error:#}"))?;
    if !path.exists() && given.config.is_none() && env::var_os(VARIABLE).is_none() {
        return Ok(format!("none; {} would be it", path.display()));
    }
    let text = file::read(&path).map_err(|error| with_cause(&error))?;
    let mut config = Config::of_text(&text)
        .map_err(|mistakes| mistakes.first().map(|first| format!("{}:{}: {}", path.display(), first.at, first.what)).unwrap_or_default())?;
    config.hear(|name| env::var(name).ok())?;
    Ok(format!("{} is good", path.display()))
}

fn checked(streams: Streams, path: &Path, text: &str) -> anyhow::Result<Config> {
    Config::of_text(text).map_err(|mistakes| {
        for mistake in &mistakes {
            streams.note(&format!("{}:{}: {}", path.display(), mistake.at, mistake.what));
        }
        UsageError("the configuration is wrong".to_owned()).into()
    })
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(words).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

fn show(config: &Config, streams: Streams, origin: bool, output: Option<Format>) -> anyhow::Result<Exit> {
    let item = |key: String| Some(SettingItem { value: config.value(&key)?, origin: config.origin(&key).to_string(), key });
    let items: Vec<SettingItem> = names().into_iter().filter_map(item).collect();
    let row = |item: &SettingItem| {
        [vec![item.key.clone(), harmless(&words(&item.value).join(" "))], if origin { vec![item.origin.clone()] } else { vec![] }].concat()
    };
    let rows = items.iter().map(row).collect();
    let columns = [Column::Text("Setting"), Column::Text("Value"), Column::Text("Origin")];
    list_items(streams, output, "config", &items, if origin { &columns } else { &columns[..2] }, rows, |item| &item.key)
}

fn get(config: &Config, key: &str) -> anyhow::Result<Exit> {
    let value = config.value(key).ok_or_else(|| UsageError(unknown(key)))?;
    print(&words(&value))
}

fn print(lines: &[String]) -> anyhow::Result<Exit> {
    let mut out = Sink::open(None)?;
    lines.iter().try_for_each(|line| writeln!(out, "{}", harmless(line)))?;
    out.close()?;
    Ok(Exit::Ok)
}

/// Without values it is taken out.
fn set(streams: Streams, path: &Path, key: &str, values: Option<Vec<String>>, dry_run: bool) -> anyhow::Result<Exit> {
    if !names().iter().any(|known| known == key) {
        return Err(UsageError(unknown(key)).into());
    }
    let before = if path.exists() { file::read(path)? } else { String::new() };
    checked(streams, path, &before)?;
    let mut document: DocumentMut = before.parse().with_context(|| format!("cannot change {}", path.display()))?;
    let (section, name) = key.split_once('.').map_or((None, key), |(section, name)| (Some(section), name));
    let table = match section {
        None => Some(document.as_item_mut()),
        Some(section) if values.is_some() => Some(document.entry(section).or_insert(toml_edit::table())),
        Some(section) => document.get_mut(section),
    };
    match (table.and_then(Item::as_table_like_mut), values) {
        (None, _) => {}
        (Some(table), None) => drop(table.remove(name)),
        (Some(table), Some(values)) => {
            let mut value = value(key, values)?;
            // In its place: a comment beside it or before it stays.
            match table.get_mut(name) {
                Some(earlier) => {
                    if let Some(earlier) = earlier.as_value() {
                        *value.decor_mut() = earlier.decor().clone();
                    }
                    *earlier = Item::Value(value);
                }
                None => drop(table.insert(name, Item::Value(value))),
            }
        }
    }
    let after = document.to_string();
    checked(streams, path, &after)?;
    if after == before {
        return Ok(Exit::Ok);
    }
    if dry_run {
        streams.note(&format!("would change {key} in {}", path.display()));
        return Ok(Exit::WouldChange);
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let mut out = Sink::open(Some(path))?;
    out.write_all(after.as_bytes())?;
    out.close()?;
    Ok(Exit::Ok)
}

fn value(key: &str, mut values: Vec<String>) -> Result<toml_edit::Value, UsageError> {
    if is_list(key) {
        return Ok(toml_edit::Value::Array(values.into_iter().collect::<Array>()));
    }
    let (Some(text), true) = (values.pop(), values.is_empty()) else { return Err(UsageError(format!("{key} has one value"))) };
    let number = text.parse::<i64>().map(toml_edit::Value::from);
    let truth = |_| text.parse::<bool>().map(toml_edit::Value::from);
    Ok(number.or_else(truth).unwrap_or_else(|_| toml_edit::Value::from(text.as_str())))
}
