//! What kind of file is this? Decided from its name and, once read, from its bytes.

use bitacora_core::wire::task::SkipReason;

use super::{LanguageIndex, languages::LANGUAGES, lines::is_space};

/// Bytes looked at for a NUL, as git does.
const BINARY_PROBE_BYTES: usize = 8000;
/// Bytes looked at for the mark of a generator.
const GENERATED_PROBE_BYTES: usize = 2000;
/// Bytes of a file that are minified when its lines are this long on average.
const MINIFIED_LINE_BYTES: usize = 1000;
/// Smaller files are not worth the question.
const MINIFIED_BYTES_MIN: usize = 4096;
/// A longest line over this makes a script or a style sheet minified whatever its average.
const MINIFIED_LONGEST_BYTES: usize = 50_000;

/// By extension, or by the whole name. `None` also for names that only their first line can tell.
pub fn language_by_name(file_name: &[u8]) -> Option<LanguageIndex> {
    let name = String::from_utf8_lossy(file_name);
    let name = name.as_ref();
    let by_whole_name = LANGUAGES.iter().position(|language| language.file_names.contains(&name));
    let by_extension = || {
        let (stem, extension) = name.rsplit_once('.')?;
        let known = |language: &&super::languages::Language| language.extensions.iter().any(|known| known.eq_ignore_ascii_case(extension));
        if stem.is_empty() { None } else { LANGUAGES.iter().position(known) }
    };
    by_whole_name.or_else(by_extension).map(LanguageIndex)
}

/// May a first line tell what this is? Only of names without an extension.
pub fn may_have_shebang(file_name: &[u8]) -> bool {
    !file_name.contains(&b'.')
}

/// By a `#!` line: the program's name without its folder and version.
pub fn language_by_shebang(text: &[u8]) -> Option<LanguageIndex> {
    let line = text.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let program = words.find(|word| *word != "env" && !word.starts_with('-') && !word.contains('='))?;
    let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    LANGUAGES.iter().position(|language| language.interpreters.contains(&program)).map(LanguageIndex)
}

/// Why not to analyse this text, if there is a reason.
pub fn skip_reason(text: &[u8], language: LanguageIndex) -> Option<SkipReason> {
    match () {
        () if is_binary(text) => Some(SkipReason::Binary),
        () if is_generated(text) => Some(SkipReason::Generated),
        () if is_minified(text, language) => Some(SkipReason::Minified),
        () => None,
    }
}

/// A NUL near the start: git's test. It catches UTF-16 and UTF-32 as well, which no grammar here reads.
fn is_binary(text: &[u8]) -> bool {
    let probe = &text[..text.len().min(BINARY_PROBE_BYTES)];
    let utf16 = probe.starts_with(&[0xff, 0xfe]) || probe.starts_with(&[0xfe, 0xff]);
    utf16 || memchr::memchr(0, probe).is_some() || is_noise(probe)
}

/// Random bytes without a NUL: more control characters than any text has.
fn is_noise(probe: &[u8]) -> bool {
    // Without a branch, so that it is done for many bytes at once.
    let control = |byte: u8| usize::from((byte < 0x20) & !(0x09..=0x0d).contains(&byte) & (byte != 0x1b));
    probe.iter().map(|byte| control(*byte)).sum::<usize>() * 20 > probe.len()
}

/// Go's convention (`// Code generated … DO NOT EDIT.`) and `@generated`, in a comment near the start.
fn is_generated(text: &[u8]) -> bool {
    let probe = &text[..text.len().min(GENERATED_PROBE_BYTES)];
    if ["Code generated ", "@generated"].iter().all(|mark| memchr::memmem::find(probe, mark.as_bytes()).is_none()) {
        return false;
    }
    probe.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii();
        let comment = [b"//".as_slice(), b"#", b"/*", b"*", b"--", b"<!--"].iter().find_map(|mark| line.strip_prefix(*mark));
        comment.is_some_and(|comment| {
            let go = memchr::memmem::find(comment, b"Code generated ").is_some() && memchr::memmem::find(comment, b"DO NOT EDIT").is_some();
            go || comment.split(|byte| is_space(*byte)).any(|word| word == b"@generated")
        })
    })
}

fn is_minified(text: &[u8], language: LanguageIndex) -> bool {
    if text.len() < MINIFIED_BYTES_MIN || matches!(language.name(), "json" | "yaml") {
        return false;
    }
    let lines = memchr::memchr_iter(b'\n', text).count() + 1;
    let longest = || text.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
    text.len() / lines > MINIFIED_LINE_BYTES || (matches!(language.name(), "javascript" | "css" | "html") && longest() > MINIFIED_LONGEST_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(language: Option<LanguageIndex>) -> Option<&'static str> {
        language.map(LanguageIndex::name)
    }

    #[test]
    fn languages_by_name() {
        assert_eq!(name(language_by_name(b"main.RS")), Some("rust"));
        assert_eq!(name(language_by_name(b"SConstruct")), Some("python"));
        assert_eq!(name(language_by_name(b".c")), None, "a hidden file without extension");
        assert_eq!(name(language_by_name(b"a.tsx")), Some("tsx"));
        assert_eq!(name(language_by_name(b"\xff.c")), Some("c"));
    }

    #[test]
    fn languages_by_first_line() {
        assert_eq!(name(language_by_shebang(b"#!/usr/bin/env -S python3.11 -u\n")), Some("python"));
        assert_eq!(name(language_by_shebang(b"#! /bin/bash\n")), Some("bash"));
        assert_eq!(name(language_by_shebang(b"#!/usr/bin/unknown\n")), None);
        assert_eq!(name(language_by_shebang(b"")), None);
    }

    #[test]
    fn reasons_to_skip() {
        let c = LanguageIndex::by_name("c").unwrap();
        assert_eq!(skip_reason(b"int a;\0", c), Some(SkipReason::Binary));
        assert_eq!(skip_reason(b"\xff\xfei\0n\0", c), Some(SkipReason::Binary));
        assert_eq!(skip_reason(b"// Code generated by x. DO NOT EDIT.\nint a;", c), Some(SkipReason::Generated));
        assert_eq!(skip_reason(b"/* @generated */", c), Some(SkipReason::Generated));
        assert_eq!(skip_reason("int a; ".repeat(1_000).as_bytes(), c), Some(SkipReason::Minified));
        assert_eq!(skip_reason("// caf\u{e9}\nint a;".as_bytes(), c), None);
        assert_eq!(skip_reason(b"// caf\xe9\nint a;", c), None, "Latin-1 is read as it is");
        assert_eq!(skip_reason(b"const char *mark = \"@generated\";", c), None);
    }
}
