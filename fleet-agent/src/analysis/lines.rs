//! Lines by what stands on them.
//!
//! A line is blank when it holds white space only, a comment line when everything else on it is comment, and a code line
//! otherwise: the definitions of tokei and cloc. Blank lines inside of comments are blank, inside of texts they are code.

use bitacora_core::wire::record::Lines;

/// The lines of one file. Positions are bytes, rows are 0-based.
#[derive(Default)]
pub(super) struct LineIndex {
    /// Where each row starts, the first behind a byte order mark, and one past the end.
    starts: Vec<u32>,
    classes: Vec<Class>,
    /// The first byte of each row that is no white space; its end where there is none.
    firsts: Vec<u32>,
    /// Running counts before each row: code, comment.
    before: Vec<(u32, u32)>,
    /// The rows of texts are code up to here.
    text_end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Blank,
    Code,
    Comment,
}

impl LineIndex {
    /// Finds the rows of `text`; comments are added afterwards by [`LineIndex::classify`].
    pub(super) fn read(&mut self, text: &[u8]) {
        self.starts.clear();
        self.classes.clear();
        self.firsts.clear();
        self.text_end = 0;
        self.starts.push(byte_order_mark(text) as u32);
        for newline in memchr::memchr_iter(b'\n', text) {
            self.end_row(text, newline + 1);
        }
        if self.starts.last().is_some_and(|&start| (start as usize) < text.len()) {
            self.end_row(text, text.len());
        }
    }

    fn end_row(&mut self, text: &[u8], end: usize) {
        let start = *self.starts.last().expect("it starts with the first row") as usize;
        let first = text[start..end].iter().position(|byte| !is_space(*byte));
        let blank = first.is_none();
        self.firsts.push(first.map_or(end, |first| start + first) as u32);
        self.classes.push(if blank { Class::Blank } else { Class::Code });
        self.starts.push(end as u32);
    }

    /// A text from one row to another: what is blank in it is part of a value, and so code. Texts come in the order in which they
    /// begin, so that those inside of another one cost nothing. Answers with the rows that it looked at.
    pub(super) fn add_text(&mut self, first: usize, last: usize) -> usize {
        let end = (last + 1).min(self.classes.len());
        let rows = self.text_end.max(first).min(end)..end;
        self.text_end = self.text_end.max(end);
        self.classes[rows.clone()].fill(Class::Code);
        rows.len()
    }

    /// Takes the comments, ascending and apart, as byte ranges.
    pub(super) fn classify(&mut self, text: &[u8], comments: &[(u32, u32)]) {
        let mut row = 0;
        let mut rest = comments;
        while let Some((&(start, mut end), after)) = rest.split_first() {
            rest = after;
            while let Some((&(next_start, next_end), after)) = rest.split_first() {
                if !text[end as usize..next_start as usize].iter().all(|byte| is_space(*byte)) {
                    break;
                }
                end = next_end;
                rest = after;
            }
            row = self.classify_run(text, row, start, end);
        }
        self.count();
    }

    /// One run of comments with only white space between them. Answers with the row to go on from.
    fn classify_run(&mut self, text: &[u8], from_row: usize, start: u32, end: u32) -> usize {
        let rows = self.classes.len();
        let mut row = from_row;
        while row + 1 < rows && self.starts[row + 1] <= start {
            row += 1;
        }
        let first = row;
        while row < rows && self.starts[row] < end {
            let row_end = self.starts[row + 1];
            let alone_before = row > first || self.firsts[row] >= start;
            let alone_after = end >= row_end || text[end as usize..row_end as usize].iter().all(|byte| is_space(*byte));
            if alone_before && alone_after && self.classes[row] == Class::Code {
                self.classes[row] = Class::Comment;
            }
            row += 1;
        }
        row.saturating_sub(1).max(from_row)
    }

    fn count(&mut self) {
        let (mut code, mut comment) = (0, 0);
        self.before.clear();
        self.before.push((0, 0));
        for class in &self.classes {
            code += u32::from(*class == Class::Code);
            comment += u32::from(*class == Class::Comment);
            self.before.push((code, comment));
        }
    }

    /// Counts for a range of rows, both included.
    pub(super) fn within(&self, first: usize, last: usize) -> Lines {
        let end = (last + 1).min(self.classes.len());
        let first = first.min(end);
        let ((code_before, comment_before), (code_after, comment_after)) = (self.before[first], self.before[end]);
        let (code, comment, total) = (code_after - code_before, comment_after - comment_before, (end - first) as u32);
        Lines { total, code, comment, blank: total - code - comment }
    }

    pub(super) fn all(&self) -> Lines {
        if self.classes.is_empty() { Lines::default() } else { self.within(0, self.classes.len() - 1) }
    }

    /// The row that holds a byte.
    pub(super) fn row_of(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start as usize <= byte).saturating_sub(1)
    }

    /// The text of a row, with its line break.
    pub(super) fn text_of<'t>(&self, text: &'t [u8], row: usize) -> &'t [u8] {
        match (self.starts.get(row), self.starts.get(row + 1)) {
            (Some(&start), Some(&end)) => &text[start as usize..end as usize],
            _ => &[],
        }
    }

    pub(super) fn start_of(&self, row: usize) -> u32 {
        self.starts.get(row).copied().unwrap_or(0)
    }
}

/// The bytes of a mark that says "this is UTF-8" and is no part of the text, as tokei and universal-ctags read it.
pub(super) fn byte_order_mark(text: &[u8]) -> usize {
    if text.starts_with("\u{feff}".as_bytes()) { "\u{feff}".len() } else { 0 }
}

/// White space as tokei trims it (Unicode's White_Space within ASCII).
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str, comments: &[&str]) -> (u32, u32, u32) {
        let mut from = 0;
        let ranges: Vec<(u32, u32)> = comments
            .iter()
            .map(|comment| {
                let start = from + text[from..].find(comment).unwrap();
                from = start + comment.len();
                (start as u32, from as u32)
            })
            .collect();
        let mut index = LineIndex::default();
        index.read(text.as_bytes());
        index.classify(text.as_bytes(), &ranges);
        let lines = index.all();
        assert_eq!(lines.total, lines.code + lines.comment + lines.blank);
        (lines.code, lines.comment, lines.blank)
    }

    #[test]
    fn a_line_with_code_and_comment_is_code() {
        assert_eq!(count("int a; // one\n// two\n\n", &["// one", "// two"]), (1, 1, 1));
        assert_eq!(count("/* a */ int b;\n", &["/* a */"]), (1, 0, 0));
        assert_eq!(count("/* a */ /* b */\nx\n", &["/* a */", "/* b */"]), (1, 1, 0));
    }

    #[test]
    fn comments_over_several_lines() {
        assert_eq!(count("x /* a\n\n b */ y\n", &["/* a\n\n b */"]), (2, 0, 1));
        assert_eq!(count("/* a\n b\n c */\n", &["/* a\n b\n c */"]), (0, 3, 0));
        assert_eq!(count("x /* a\n b */\n", &["/* a\n b */"]), (1, 1, 0));
    }

    #[test]
    fn a_byte_order_mark_stands_on_no_line() {
        assert_eq!(count("\u{feff}// one\nint a;\n", &["// one"]), (1, 1, 0));
        assert_eq!(count("\u{feff}\nint a;\n", &[]), (1, 0, 1));
        assert_eq!(count("\u{feff}", &[]), (0, 0, 0));
    }

    #[test]
    fn texts_inside_of_texts_are_looked_at_once() {
        let mut index = LineIndex::default();
        index.read("`${\n\n`${\n\n`${\n\n`}\n\n`}\n\n`}\n\nx\n\n".as_bytes());
        let rows: usize = [(0, 10), (2, 8), (4, 6), (10, 12)].map(|(first, last)| index.add_text(first, last)).iter().sum();
        assert_eq!(rows, 13, "each row of the texts once");
        index.classify(b"", &[]);
        let lines = index.all();
        assert_eq!((lines.total, lines.code, lines.blank), (14, 13, 1));
    }

    #[test]
    fn the_last_line_needs_no_line_break() {
        assert_eq!(count("a\nb", &[]), (2, 0, 0));
        assert_eq!(count("", &[]), (0, 0, 0));
        assert_eq!(count("\n", &[]), (0, 0, 1));
    }
}
