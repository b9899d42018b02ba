//! Which entries of a list are shown: a regular expression, or with `!` in front all that it does not match. `field:expression` looks at one field.

use std::{
    fmt::{Display, Write},
    ops::Range,
};

use regex::{Regex, RegexBuilder};

/// A pattern that compiles to more is taken as plain text.
const PROGRAM_BYTES_MAX: usize = 256 << 10;

#[derive(Clone, Debug, Default)]
pub struct Filter {
    text: String,
    /// The name before a colon, and the expression after it; and the whole as an expression.
    field: Option<(String, Regex)>,
    pattern: Option<Regex>,
    inverse: bool,
}

impl Filter {
    /// What is no expression yet, because it is still being typed, is looked for as it stands.
    pub fn new(text: &str) -> Filter {
        let (inverse, wanted) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let named = wanted.split_once(':').filter(|(name, _)| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase()));
        let field = named.and_then(|(name, wanted)| Some((name.to_owned(), pattern(wanted)?)));
        Filter { text: text.to_owned(), field, pattern: if wanted.is_empty() { None } else { pattern(wanted) }, inverse }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn passes(&self, fields: &Fields) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let named = self.field.as_ref().and_then(|(wanted, pattern)| Some((fields.named(wanted)?, pattern)));
        let matches = match named {
            Some((value, pattern)) => pattern.is_match(value),
            None => pattern.is_match(&fields.text),
        };
        matches != self.inverse
    }
}

/// What of an entry a filter looks at: its fields, as one text. One is used for entry after entry, for there may be ten thousand.
#[derive(Debug, Default)]
pub struct Fields {
    text: String,
    parts: Vec<(&'static str, Range<usize>)>,
}

impl Fields {
    pub fn clear(&mut self) {
        self.text.clear();
        self.parts.clear();
    }

    pub fn add(&mut self, name: &'static str, value: &str) {
        self.add_by(name, |text| text.push_str(value));
    }

    pub fn add_shown(&mut self, name: &'static str, value: impl Display) {
        self.add_by(name, |text| write!(text, "{value}").expect("a string takes everything"));
    }

    fn add_by(&mut self, name: &'static str, push: impl FnOnce(&mut String)) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let begin = self.text.len();
        push(&mut self.text);
        self.parts.push((name, begin..self.text.len()));
    }

    fn named(&self, wanted: &str) -> Option<&str> {
        let (_, place) = self.parts.iter().find(|(name, _)| *name == wanted)?;
        Some(&self.text[place.clone()])
    }
}

fn pattern(wanted: &str) -> Option<Regex> {
    let build = |pattern: &str| RegexBuilder::new(pattern).case_insensitive(true).size_limit(PROGRAM_BYTES_MAX).build().ok();
    build(wanted).or_else(|| build(&regex::escape(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_invert_and_never_fail() {
        let passes = |filter: &str, name: &str, health: &str| {
            let mut fields = Fields::default();
            fields.add("name", name);
            fields.add("health", health);
            Filter::new(filter).passes(&fields)
        };
        assert!(passes("", "anvil", "healthy") && passes("!", "anvil", "healthy"));
        assert!(passes("ANV|bel", "anvil", "healthy") && !passes("^bel", "anvil", "healthy"));
        assert!(passes("!offline", "anvil", "healthy") && !passes("!healthy", "anvil", "healthy"));
        assert!(passes("a(", "a(b", "") && !passes("a(", "ab", ""), "half an expression is plain text");
        assert!(passes("health:^off", "healthy", "offline") && !passes("health:^health", "healthy", "offline"), "one field alone");
        assert!(passes("!health:offline", "a", "healthy") && !passes("!health:offline", "a", "offline"));
        assert!(passes("c:d", "c:d", "") && passes("health:", "a", "b"), "what names no field is text");
    }
}
