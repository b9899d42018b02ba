//! Functions that the tree has lost, found in the text.
//!
//! C's macros make whole functions invisible to a grammar: `SYSCALL_DEFINE3(read, …) { … }` is no function to it, and one
//! macro at a block's end can turn the rest of a file into an ERROR node. Where a tree of such a language has errors,
//! its functions come from here: one pass over the words, in which an identifier, a parenthesised list and a `{` at the
//! outermost level open a function, and its `}` (or one in the first column) closes it.

use std::ops::Range;

use super::lines::byte_order_mark;

/// A function as the text shows it; byte positions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TextFunction {
    pub(super) name: Range<usize>,
    /// One past its closing brace.
    pub(super) end: usize,
    pub(super) parameters: u32,
}

/// Words before a list that are no function's name.
const NOT_NAMES: [&[u8]; 17] = [
    b"if",
    b"for",
    b"while",
    b"switch",
    b"return",
    b"sizeof",
    b"do",
    b"else",
    b"case",
    b"typeof",
    b"__typeof__",
    b"defined",
    b"catch",
    b"goto",
    b"asm",
    b"__asm__",
    b"__attribute__",
];

/// Nested `#if`s that are followed; deeper ones are read as if they were not there.
const CONDITIONALS_MAX: usize = 64;

/// Finds the functions of a C text, in its order.
pub(super) fn functions(text: &[u8]) -> Vec<TextFunction> {
    let mut scan = Scan { text, at: byte_order_mark(text), state: State::default(), conditionals: Vec::new(), unfollowed: 0, found: Vec::new() };
    while let Some(word) = scan.next_word() {
        match scan.state.body {
            Some(_) => scan.inside_body(&word),
            None => scan.outside(&word),
        }
    }
    scan.found
}

enum Word {
    Identifier(Range<usize>),
    Directive(Range<usize>),
    Text,
    Sign(u8, usize),
}

/// What a preprocessor branch starts with, and has to come back to.
#[derive(Clone, Copy, Default)]
struct Depths {
    braces: u32,
    lists: u32,
}

#[derive(Default)]
struct State {
    depths: Depths,
    /// The identifier right before this word.
    before: Option<Range<usize>>,
    after_text: bool,
    /// The function that a `{` would open.
    candidate: Option<Candidate>,
    list_closed: bool,
    in_initialiser: bool,
    /// Inside braces: those of a function, or of something else.
    body: Option<Option<Candidate>>,
}

#[derive(Clone, Debug)]
struct Candidate {
    name: Range<usize>,
    commas: u32,
    words: u32,
    only_void: bool,
}

impl Candidate {
    fn parameters(&self) -> u32 {
        if self.words == 0 || (self.words == 1 && self.only_void) { 0 } else { self.commas + 1 }
    }
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    state: State,
    /// The depths at each open `#if`, and those at the end of its first branch.
    conditionals: Vec<(Depths, Option<Depths>)>,
    /// Open `#if`s beyond [`CONDITIONALS_MAX`].
    unfollowed: u32,
    found: Vec<TextFunction>,
}

impl Scan<'_> {
    fn inside_body(&mut self, word: &Word) {
        match *word {
            Word::Sign(b'{', _) => self.state.depths.braces += 1,
            Word::Sign(b'}', at) => {
                self.state.depths.braces = self.state.depths.braces.saturating_sub(1);
                let first_column = at == 0 || self.text[at - 1] == b'\n';
                if self.state.depths.braces == 0 || first_column {
                    let body = self.state.body.take().flatten();
                    self.found.extend(body.map(|body| TextFunction { parameters: body.parameters(), name: body.name, end: at + 1 }));
                    self.state = State::default();
                }
            }
            Word::Directive(ref name) => self.directive(name.clone()),
            Word::Identifier(_) | Word::Text | Word::Sign(..) => {}
        }
    }

    fn outside(&mut self, word: &Word) {
        let before = self.state.before.take();
        let after_text = std::mem::take(&mut self.state.after_text);
        match *word {
            Word::Directive(ref name) => self.directive(name.clone()),
            Word::Text => self.state.after_text = true,
            Word::Identifier(ref name) => self.identifier(name.clone()),
            Word::Sign(b'(', _) => self.open_list(before),
            Word::Sign(b')', _) => {
                self.state.depths.lists = self.state.depths.lists.saturating_sub(1);
                self.state.list_closed = self.state.depths.lists == 0 && self.state.candidate.is_some();
            }
            Word::Sign(b',', _) if self.state.depths.lists == 1 => {
                if let Some(candidate) = self.state.candidate.as_mut().filter(|_| !self.state.list_closed) {
                    candidate.commas += 1;
                }
            }
            Word::Sign(..) if self.state.depths.lists > 0 => {}
            // `extern "C" {` changes nothing about what is in it.
            Word::Sign(b'{', _) if after_text => {}
            Word::Sign(b'{', _) => self.open_braces(),
            Word::Sign(b';', _) => self.cancel(false),
            Word::Sign(b'=', _) => self.cancel(true),
            Word::Sign(b',' | b'}', _) => self.cancel(self.state.in_initialiser),
            Word::Sign(..) => {}
        }
    }

    fn identifier(&mut self, name: Range<usize>) {
        if self.state.depths.lists > 0 {
            if let Some(candidate) = self.state.candidate.as_mut().filter(|_| !self.state.list_closed) {
                candidate.words += 1;
                candidate.only_void = &self.text[name] == b"void";
            }
        } else {
            self.state.before = Some(name);
        }
    }

    /// The first list names the function, unless a later one follows a word that is no annotation.
    fn open_list(&mut self, before: Option<Range<usize>>) {
        let named = before.filter(|name| self.state.depths.lists == 0 && !NOT_NAMES.contains(&&self.text[name.clone()]));
        if let Some(name) = named
            && !(self.state.list_closed && self.text[name.clone()].starts_with(b"__"))
        {
            self.state.candidate = Some(Candidate { name, commas: 0, words: 0, only_void: false });
            self.state.list_closed = false;
        }
        self.state.depths.lists += 1;
    }

    fn open_braces(&mut self) {
        let function = self.state.candidate.take().filter(|_| self.state.list_closed && !self.state.in_initialiser);
        self.state = State { body: Some(function), depths: Depths { braces: 1, lists: 0 }, ..State::default() };
    }

    fn cancel(&mut self, in_initialiser: bool) {
        self.state.candidate = None;
        self.state.list_closed = false;
        self.state.in_initialiser = in_initialiser;
    }

    /// The first branch of a conditional decides about the depths; the others start from where it started.
    fn directive(&mut self, name: Range<usize>) {
        match &self.text[name] {
            b"if" | b"ifdef" | b"ifndef" if self.conditionals.len() < CONDITIONALS_MAX => self.conditionals.push((self.state.depths, None)),
            b"if" | b"ifdef" | b"ifndef" => self.unfollowed += 1,
            b"else" | b"elif" if self.unfollowed > 0 => {}
            b"endif" if self.unfollowed > 0 => self.unfollowed -= 1,
            b"else" | b"elif" => {
                if let Some((start, first_end)) = self.conditionals.last_mut() {
                    first_end.get_or_insert(self.state.depths);
                    self.state.depths = *start;
                }
            }
            b"endif" => {
                if let Some((_, Some(first_end))) = self.conditionals.pop() {
                    self.state.depths = first_end;
                }
            }
            _ => {}
        }
    }

    fn next_word(&mut self) -> Option<Word> {
        loop {
            let at = self.at;
            let byte = *self.text.get(at)?;
            match byte {
                b'/' if self.text[at..].starts_with(b"/*") => self.at = find_end(self.text, at + 2, b"*/"),
                b'/' if self.text[at..].starts_with(b"//") => self.at = end_of_line(self.text, at),
                b'"' | b'\'' => {
                    self.at = end_of_literal(self.text, at);
                    return Some(Word::Text);
                }
                b'#' => {
                    self.at = end_of_directive(self.text, at);
                    let spaces = self.text[at + 1..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                    return Some(Word::Directive(word_at(self.text, at + 1 + spaces)));
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80.. => {
                    let word = word_at(self.text, at);
                    self.at = word.end;
                    return Some(Word::Identifier(word));
                }
                b'0'..=b'9' => self.at = word_at(self.text, at).end,
                byte if byte.is_ascii_whitespace() => self.at += 1,
                sign => {
                    self.at += 1;
                    return Some(Word::Sign(sign, at));
                }
            }
        }
    }
}

fn word_at(text: &[u8], at: usize) -> Range<usize> {
    let length = text[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)).count();
    at..at + length
}

fn find_end(text: &[u8], from: usize, mark: &[u8]) -> usize {
    memchr::memmem::find(&text[from.min(text.len())..], mark).map_or(text.len(), |place| from + place + mark.len())
}

/// Of a line, or of several that are joined by backslashes.
fn end_of_line(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(place) = memchr::memchr(b'\n', &text[at..]) {
        at += place + 1;
        if !text[..at - 1].ends_with(b"\\") && !text[..at - 1].ends_with(b"\\\r") {
            return at - 1;
        }
    }
    text.len()
}

/// A directive ends with its line; a comment that it begins may go on.
fn end_of_directive(text: &[u8], from: usize) -> usize {
    let end = end_of_line(text, from);
    match memchr::memmem::find(&text[from..end], b"/*") {
        Some(place) if memchr::memmem::find(&text[from + place + 2..end], b"*/").is_none() => find_end(text, from + place + 2, b"*/"),
        _ => end,
    }
}

/// A literal that does not end on its line ends with it: an apostrophe in skipped text is no reason to skip the rest.
fn end_of_literal(text: &[u8], from: usize) -> usize {
    let quote = text[from];
    let mut at = from + 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' => return at,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, u32)> {
        functions(text.as_bytes()).into_iter().map(|function| (&text[function.name], function.parameters)).collect()
    }

    #[test]
    fn functions_behind_macros() {
        assert_eq!(found("SYSCALL_DEFINE1(read, int, fd)\n{\n\treturn 0;\n}\nint f(void) { return 1; }\n"), [("SYSCALL_DEFINE1", 3), ("f", 0)]);
        assert_eq!(found("static int g(int a, int b) __acquires(lock)\n{\n}\n"), [("g", 2)]);
        assert_eq!(found("DEFINE(x) int h(int a) { }"), [("h", 1)]);
    }

    #[test]
    fn what_is_no_function() {
        assert_eq!(found("struct a { int (*f)(int); };\nint b[] = { M(1) };\nint c(int);\n#define D(x) { x }\n"), []);
        assert_eq!(found("extern \"C\" {\nint e(void)\n{ }\n}\n"), [("e", 0)]);
    }

    #[test]
    fn a_brace_in_the_first_column_ends_a_function_that_lost_one() {
        assert_eq!(found("void a(int x)\n{\n\twhile_each(x) {\n}\nvoid b(int y)\n{\n}\n"), [("a", 1), ("b", 1)]);
    }

    #[test]
    fn branches_of_a_conditional_share_a_depth() {
        assert_eq!(found("void a(int x)\n{\n#ifdef A\n\tif (x) {\n#else\n\tif (!x) {\n#endif\n\t}\n\t}\nvoid b(void) {}\n"), [("a", 1), ("b", 0)]);
    }

    #[test]
    fn hostile_text_ends() {
        for text in ["\"", "'\\", "/*", "#if", "(((", "}}}", "#\\\n", "f(", "f() {", "\u{e9}("] {
            functions(text.as_bytes());
        }
        functions("#if 1\n".repeat(10_000).as_bytes());
    }
}
