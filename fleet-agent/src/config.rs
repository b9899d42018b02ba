//! `fleet-agent --config FILE`: the flags, in TOML, one key each, spelled as the flag is.
//!
//! What the file says is put before what stands on the command line and read by the same rules, so that neither can say
//! what the other cannot. Flags win over the environment (`BITACORA_AGENT_…`), and that over the file.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};

/// Larger is no configuration.
const FILE_BYTES_MAX: u64 = 64 << 10;
const ENVIRONMENT: &str = "BITACORA_AGENT_";
/// Asked for on the command line or in the environment alone.
const NOT_IN_FILES: [&str; 3] = ["config", "help", "version"];

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} has more than {FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    #[error("{} is no TOML", path.display())]
    Syntax { path: PathBuf, source: Box<toml::de::Error> },
    #[error("{place} knows no {key:?}{}", nearest.as_ref().map(|nearest| format!("; did you mean {nearest:?}?")).unwrap_or_default())]
    Unknown { place: String, key: String, nearest: Option<String> },
    #[error("{key:?} in {} is to be a text, a number, true or false, or a list of those", path.display())]
    Value { path: PathBuf, key: String },
}

/// The command line that says what the file, the environment and the given one say together.
pub fn merged(command: &Command, given: Vec<OsString>, matches: &ArgMatches) -> Result<Vec<OsString>, ConfigError> {
    let environment = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    merged_with(command, given, matches, environment.collect())
}

fn merged_with(command: &Command, given: Vec<OsString>, matches: &ArgMatches, environment: Vec<(String, String)>) -> Result<Vec<OsString>, ConfigError> {
    let known: Vec<&Arg> = command.get_arguments().filter(|argument| argument.get_long().is_some_and(|key| !NOT_IN_FILES.contains(&key))).collect();
    let keys: Vec<&str> = known.iter().filter_map(|argument| argument.get_long()).collect();
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut path, is_several) = (matches.get_one::<PathBuf>("config").cloned(), |key: &str| is_several(&known, key));
    for (key, value) in from_environment(&keys, environment)? {
        match key.as_str() {
            "config" => path = path.or(Some(value.into())),
            key if is_several(key) => drop(said.insert(key.to_owned(), value.split(',').map(str::to_owned).collect())),
            key => drop(said.insert(key.to_owned(), vec![value])),
        }
    }
    for (key, value) in path.as_deref().map(read).transpose()?.unwrap_or_default() {
        let path = path.clone().unwrap_or_default();
        if !keys.contains(&key.as_str()) {
            return Err(unknown(path.display().to_string(), key, &keys));
        }
        let texts = match &value {
            toml::Value::Boolean(is) if is_truth(&known, &key) => Some(vec![is.to_string()]),
            value => texts(value),
        };
        let values = texts.filter(|values| is_several(&key) || values.len() == 1).ok_or_else(|| ConfigError::Value { path, key: key.clone() })?;
        said.entry(key).or_insert(values);
    }
    let is_given = |argument: &Arg| matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine);
    let open = known.iter().filter(|argument| !is_given(argument)).filter_map(|argument| argument.get_long());
    let added = open.flat_map(|key| said.get(key).into_iter().flatten().map(move |value| OsString::from(format!("--{key}={value}"))));
    let mut line: Vec<OsString> = given.iter().take(1).cloned().chain(added).collect();
    line.extend(given.into_iter().skip(1));
    Ok(line)
}

fn is_several(known: &[&Arg], key: &str) -> bool {
    known.iter().any(|argument| argument.get_long() == Some(key) && matches!(argument.get_action(), ArgAction::Append))
}

/// May the flag stand without a value?
fn is_truth(known: &[&Arg], key: &str) -> bool {
    known.iter().any(|argument| argument.get_long() == Some(key) && argument.get_num_args().is_some_and(|values| values.min_values() == 0))
}

fn read(path: &Path) -> Result<toml::Table, ConfigError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    read.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    text.parse().map_err(|source| ConfigError::Syntax { path: path.to_owned(), source: Box::new(source) })
}

fn texts(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Array(list) => list.iter().map(|value| texts(value)?.pop().filter(|_| !value.is_array())).collect(),
        toml::Value::Float(_) | toml::Value::Boolean(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// What the environment says, by key. A variable that is nobody's is a mistake that would be looked for long.
fn from_environment(keys: &[&str], variables: Vec<(String, String)>) -> Result<Vec<(String, String)>, ConfigError> {
    let mut found = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(ENVIRONMENT) else { continue };
        let key = rest.to_ascii_lowercase().replace('_', "-");
        if key != "config" && !keys.contains(&key.as_str()) {
            let variables: Vec<String> = keys.iter().map(|key| format!("{ENVIRONMENT}{}", key.to_ascii_uppercase().replace('-', "_"))).collect();
            let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
            return Err(unknown("the environment".to_owned(), name, &variables));
        }
        found.push((key, value));
    }
    Ok(found)
}

fn unknown(place: String, key: String, keys: &[&str]) -> ConfigError {
    let nearest = keys.iter().min_by_key(|known| strsim::damerau_levenshtein(known, &key)).map(|known| (*known).to_owned());
    ConfigError::Unknown { place, key, nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let one = |name: &'static str| Arg::new(name).long(name);
        let config = one("config").value_parser(clap::value_parser!(PathBuf));
        Command::new("agent").args([config, one("peer"), one("leave-max"), one("label").action(ArgAction::Append), one("no-discovery").num_args(0..=1)])
    }

    fn merge(file: &str, given: &[&str]) -> Result<Vec<String>, ConfigError> {
        merge_with(file, given, &[])
    }

    fn merge_with(file: &str, given: &[&str], environment: &[(&str, &str)]) -> Result<Vec<String>, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, file).unwrap();
        let given: Vec<OsString> = ["agent", "--config", path.to_str().unwrap()].into_iter().chain(given.iter().copied()).map(OsString::from).collect();
        let matches = command().get_matches_from(&given);
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let line = merged_with(&command(), given, &matches, environment)?;
        Ok(line.into_iter().map(|word| word.into_string().unwrap()).filter(|word| word.contains('=')).collect())
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = "peer = \"a:1\"\nleave-max = 5\nlabel = [\"zone=eu\", \"disk=ssd\"]\n";
        assert_eq!(merge(file, &[]).unwrap(), ["--peer=a:1", "--leave-max=5", "--label=zone=eu", "--label=disk=ssd"]);
        assert_eq!(merge(file, &["--peer", "b:2", "--label", "zone"]).unwrap(), ["--leave-max=5"]);
        assert_eq!(merge("no-discovery = true", &[]).unwrap(), ["--no-discovery=true"]);
        let environment = [("BITACORA_AGENT_LABEL", "a=b,c=d"), ("BITACORA_AGENT_PEER", "c:3"), ("HOME", "/")];
        assert_eq!(merge_with(file, &["--peer", "b:2"], &environment).unwrap(), ["--leave-max=5", "--label=a=b", "--label=c=d"]);
    }

    #[test]
    fn what_is_not_known_is_named_with_what_is_near() {
        let error = merge("laebl = [\"a=b\"]", &[]).unwrap_err();
        assert!(matches!(&error, ConfigError::Unknown { nearest: Some(nearest), .. } if nearest == "label"), "{error}");
        for (file, what) in
            [("peer = [\"a\", \"b\"]", "a list"), ("peer = true", "a truth"), ("label = [[\"a=b\"]]", "a list in a list"), ("config = \"x\"", "itself")]
        {
            assert!(merge(file, &[]).is_err(), "{what}");
        }
        assert!(matches!(merge("peer = ", &[]), Err(ConfigError::Syntax { .. })));
        let error = merge_with("", &[], &[("BITACORA_AGENT_PEAR", "x")]).unwrap_err();
        assert!(matches!(&error, ConfigError::Unknown { nearest: Some(nearest), .. } if nearest == "BITACORA_AGENT_PEER"), "{error}");
    }
}
