//! Looking for names in the lists of packs: those that hold a text, and those that have its letters in its order.
//!
//! Whoever has packs can look through them; what is found in several places is put together as if it had been one.

mod away;
mod best;

use memchr::{memchr, memchr_iter, memrchr};
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{AtomKind, CaseMatching, Normalization, Pattern},
};
use regex::bytes::{Regex, RegexBuilder};

pub use self::{
    away::{FoundName, FoundNames, NAMES_MAX, NamesWanted, search},
    best::{Best, Fit, Key, Place},
};
use crate::pack::{PackError, Segment, letters};

/// A way to find names.
pub trait Search: Sync {
    /// Offers each name of a pack's list that fits.
    fn in_segment(&self, segment: &mut Segment, pack: u32, best: &mut Best) -> Result<(), PackError>;

    /// What is looked for, and whether its letters are enough.
    fn wanted(&self) -> (&str, bool);
}

/// Names that hold the query; any case if the query has no upper case.
pub struct Literal {
    query: String,
    pattern: Regex,
}

impl Literal {
    pub fn new(query: &str) -> Literal {
        let insensitive = !query.contains(char::is_uppercase);
        let pattern = RegexBuilder::new(&regex::escape(query)).case_insensitive(insensitive).build().expect("an escaped text is a pattern");
        Literal { query: query.into(), pattern }
    }

    pub fn query(&self) -> &[u8] {
        self.query.as_bytes()
    }

    /// Each name of a text that fits; the place is made of its number in the text.
    pub fn in_text(&self, text: &[u8], best: &mut Best, place: impl Fn(u32) -> Place) {
        // A name's end is no part of any name.
        if self.query.contains('\n') {
            return;
        }
        let (mut from, mut number) = (0, 0);
        while let Some(found) = self.pattern.find_at(text, from) {
            let start = memrchr(b'\n', &text[from..found.start()]).map_or(from, |before| from + before + 1);
            let Some(length) = memchr(b'\n', &text[found.end()..]) else { return };
            let end = found.end() + length;
            number += memchr_iter(b'\n', &text[from..start]).count() as u32;
            let fit = match (found.start() == start, found.end() == end) {
                (true, true) => Fit::Exact,
                (true, false) => Fit::Prefix,
                (false, _) => Fit::Substring,
            };
            best.offer((fit, found.as_bytes() != self.query()), &text[start..end], place(number));
            (from, number) = (end + 1, number + 1);
        }
    }
}

impl Search for Literal {
    fn in_segment(&self, segment: &mut Segment, pack: u32, best: &mut Best) -> Result<(), PackError> {
        self.in_text(segment.names(), best, |number| Place::Pack(pack, number));
        Ok(())
    }

    fn wanted(&self) -> (&str, bool) {
        (&self.query, false)
    }
}

/// Names that have the letters of the query in their order.
pub struct Fuzzy {
    query: String,
    pattern: Pattern,
    /// What a name must have.
    needs: u64,
}

/// One for each thread.
pub struct Scorer<'f> {
    fuzzy: &'f Fuzzy,
    matcher: Matcher,
    characters: Vec<char>,
}

impl Fuzzy {
    pub fn new(query: &str) -> Fuzzy {
        let pattern = Pattern::new(query, CaseMatching::Smart, Normalization::Never, AtomKind::Fuzzy);
        Fuzzy { query: query.into(), pattern, needs: letters(query.as_bytes()) }
    }

    pub fn scorer(&self) -> Scorer<'_> {
        Scorer { fuzzy: self, matcher: Matcher::new(Config::DEFAULT), characters: Vec::new() }
    }

    /// Has a name with these letters all that are looked for?
    pub fn may_fit(&self, letters: u64) -> bool {
        letters & self.needs == self.needs
    }
}

impl Scorer<'_> {
    pub fn offer(&mut self, name: &[u8], place: Place, best: &mut Best) {
        let Ok(text) = std::str::from_utf8(name) else { return };
        if let Some(score) = self.fuzzy.pattern.score(Utf32Str::new(text, &mut self.characters), &mut self.matcher) {
            best.offer((Fit::Fuzzy(std::cmp::Reverse(score)), false), name, place);
        }
    }
}

impl Search for Fuzzy {
    fn in_segment(&self, segment: &mut Segment, pack: u32, best: &mut Best) -> Result<(), PackError> {
        segment.load_rows()?;
        let mut scorer = self.scorer();
        for number in (0..segment.count()).filter(|number| self.may_fit(segment.letters(*number))) {
            scorer.offer(segment.name(number), Place::Pack(pack, number), best);
        }
        Ok(())
    }

    fn wanted(&self) -> (&str, bool) {
        (&self.query, true)
    }
}
