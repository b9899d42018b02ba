//! Which entries of a list are shown: a regular expression, or with `!` in front all that it does not match.

use regex::{Regex, RegexBuilder};

/// A pattern that compiles to more is taken as plain text.
const PROGRAM_BYTES_MAX: usize = 256 << 10;

#[derive(Clone, Debug, Default)]
pub struct Filter {
    text: String,
    pattern: Option<Regex>,
    inverse: bool,
}

impl Filter {
    /// What is no expression yet, because it is still being typed, is looked for as it stands.
    pub fn new(text: &str) -> Filter {
        let (inverse, wanted) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let build = |pattern: &str| RegexBuilder::new(pattern).case_insensitive(true).size_limit(PROGRAM_BYTES_MAX).build().ok();
        let pattern = (!wanted.is_empty()).then(|| build(wanted).or_else(|| build(&regex::escape(wanted)))).flatten();
        Filter { text: text.to_owned(), pattern, inverse }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn passes(&self, text: impl FnOnce() -> String) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&text()) != self.inverse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_invert_and_never_fail() {
        let passes = |filter: &str, text: &str| Filter::new(filter).passes(|| text.to_owned());
        assert!(passes("", "anything") && passes("!", "anything"));
        assert!(passes("ANV|bel", "anvil healthy") && !passes("^bel", "anvil"));
        assert!(passes("!offline", "anvil healthy") && !passes("!healthy", "anvil healthy"));
        assert!(passes("a(", "a(b") && !passes("a(", "ab"), "half an expression is plain text");
    }
}
