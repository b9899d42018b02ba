//! What stands in a configuration file: keys with their values, each with its place, so that a mistake can be found. What the keys mean is not known
//! here.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

/// Larger is no configuration.
const FILE_BYTES_MAX: u64 = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has more than {FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
}

/// Where something stands: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Something that is wrong, and what would be right.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mistake {
    pub(super) at: Place,
    pub(super) what: String,
}

/// A key, and what it was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// With the names of the tables that it stands in: `keys.drain`.
    pub(super) key: String,
    pub(super) at: Place,
    pub(super) values: Vec<(String, Place)>,
    pub(super) is_list: bool,
}

pub(super) fn read(path: &Path) -> Result<String, FileError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    read.map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    if text.len() as u64 > FILE_BYTES_MAX { Err(FileError::TooLarge(path.to_owned())) } else { Ok(text) }
}

/// In the order in which they stand; what cannot be a value is a mistake, and so is everything that is no TOML.
pub(super) fn entries(text: &str) -> (Vec<Entry>, Vec<Mistake>) {
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    match DeTable::parse(text) {
        Ok(table) => collect(text, "", table.get_ref(), &mut entries, &mut mistakes),
        Err(error) => {
            let at = place(text, &error.span().unwrap_or_default());
            mistakes.push(Mistake { at, what: error.message().lines().collect::<Vec<_>>().join(", ") });
        }
    }
    entries.sort_by_key(|entry| entry.at);
    (entries, mistakes)
}

/// Tables in tables are no deeper than the parser lets them be.
fn collect(text: &str, within: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>, mistakes: &mut Vec<Mistake>) {
    for (key, value) in table {
        let (key, at) = (format!("{within}{}", key.get_ref()), place(text, &key.span()));
        let value_at = place(text, &value.span());
        match value.get_ref() {
            DeValue::Table(inner) => collect(text, &format!("{key}."), inner, entries, mistakes),
            DeValue::Array(list) => {
                let values = list.iter().map(|value| scalar(value.get_ref()).map(|scalar| (scalar, place(text, &value.span())))).collect();
                match values {
                    Some(values) => entries.push(Entry { key, at, values, is_list: true }),
                    None => mistakes.push(no_value(value_at, &key)),
                }
            }
            value => match scalar(value) {
                Some(scalar) => entries.push(Entry { key, at, values: vec![(scalar, value_at)], is_list: false }),
                None => mistakes.push(no_value(value_at, &key)),
            },
        }
    }
}

fn no_value(at: Place, key: &str) -> Mistake {
    Mistake { at, what: format!("{key} is to be a text, a whole number, true or false, or a list of those") }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string()),
        DeValue::Boolean(is) => Some(is.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn place(text: &str, span: &Range<usize>) -> Place {
    let before = text.get(..span.start).unwrap_or(text);
    let line_begins = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_begins..].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_place() {
        let (entries, mistakes) = entries("# größe\ntheme = \"dark\"\n\n[keys]\n drain = [\"D\",\n  \"x\"]\nhelp = 0x1F\n[a.b]\nc = true\n");
        assert_eq!(mistakes, []);
        let said: Vec<String> = entries
            .iter()
            .map(|entry| format!("{} {}: {:?}", entry.at, entry.key, entry.values.iter().map(|(value, at)| format!("{value}@{at}")).collect::<Vec<_>>()))
            .collect();
        assert_eq!(said, ["2:1 theme: [\"dark@2:9\"]", "5:2 keys.drain: [\"D@5:11\", \"x@6:3\"]", "7:1 keys.help: [\"31@7:8\"]", "9:1 a.b.c: [\"true@9:5\"]"]);
    }

    #[test]
    fn what_is_no_configuration_is_found() {
        for (text, at) in [("theme = \"dark", "1:14"), ("a = 1\nb = 1.5\n", "2:5"), ("a = [[1]]", "1:5"), ("a = 1\na = 2\n", "2:1"), ("ä = [\n", "1:6")] {
            let (_, mistakes) = entries(text);
            assert_eq!(mistakes.first().map(|mistake| mistake.at.to_string()).as_deref(), Some(at), "{text:?}: {mistakes:?}");
        }
    }
}
