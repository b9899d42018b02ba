//! Where passphrases come from: a file, stdin, or a terminal that does not show them. Never an argument or a variable, which
//! others see.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::{exit::Exit, trust::Passphrase};

/// A passphrase is a line.
const BYTES_MAX: usize = 4096;
/// Of a new one: fewer are guessed, however dear each guess is.
const CHARS_MIN: usize = 8;
/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

/// Where a passphrase comes from.
#[derive(Args)]
pub(super) struct PassphraseSource {
    /// A file whose first line is the passphrase, or - for stdin; without it the terminal asks
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum PassphraseError {
    #[error("a passphrase is needed and there is no terminal to ask at; name its file with --passphrase-file")]
    NotGiven,
    #[error("the passphrase is empty")]
    Empty,
    #[error("a new passphrase has at least {CHARS_MIN} characters")]
    Short,
    #[error("the two passphrases differ")]
    Differ,
    #[error("interrupted")]
    Interrupted,
    #[error("cannot read the passphrase in {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the terminal cannot be asked")]
    Terminal(#[source] io::Error),
}

impl PassphraseError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            PassphraseError::NotGiven => Exit::Authentication,
            PassphraseError::Empty | PassphraseError::Short | PassphraseError::Differ => Exit::Usage,
            PassphraseError::Interrupted => Exit::Interrupted,
            PassphraseError::Read { .. } | PassphraseError::Terminal(_) => Exit::Failure,
        }
    }
}

impl PassphraseSource {
    pub(super) fn is_given(&self) -> bool {
        self.passphrase_file.is_some()
    }

    pub(super) fn is_stdin(&self) -> bool {
        self.passphrase_file.as_deref().is_some_and(|path| path == Path::new("-"))
    }

    /// The one that opens what is sealed.
    pub(super) fn known(&self) -> Result<Passphrase, PassphraseError> {
        match &self.passphrase_file {
            Some(path) => of_file(path),
            None => of_terminal("Passphrase: "),
        }
    }

    /// A new one, asked for twice where it is typed.
    pub(super) fn chosen(&self) -> Result<Passphrase, PassphraseError> {
        let chosen = match &self.passphrase_file {
            Some(path) => of_file(path)?,
            None => {
                let first = of_terminal("New passphrase: ")?;
                if first != of_terminal("The same again: ")? {
                    return Err(PassphraseError::Differ);
                }
                first
            }
        };
        if chosen.chars() < CHARS_MIN { Err(PassphraseError::Short) } else { Ok(chosen) }
    }
}

fn of_file(path: &Path) -> Result<Passphrase, PassphraseError> {
    let bytes = match path.as_os_str().as_encoded_bytes() {
        b"-" => first_line(io::stdin()),
        _ => File::open(path).and_then(first_line),
    };
    made_of(bytes.map_err(|source| PassphraseError::Read { path: path.to_owned(), source })?)
}

/// Read in one piece, so that no other copy of it stays in memory.
fn first_line(mut from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; BYTES_MAX]);
    let mut filled = 0;
    while filled < BYTES_MAX && !bytes[..filled].contains(&b'\n') {
        match from.read(&mut bytes[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn made_of(mut bytes: Zeroizing<Vec<u8>>) -> Result<Passphrase, PassphraseError> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    bytes.truncate(end);
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    Passphrase::new(text).ok_or(PassphraseError::Empty)
}

fn of_terminal(prompt: &str) -> Result<Passphrase, PassphraseError> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(PassphraseError::NotGiven);
    }
    // Nobody sees the prompt when stderr is closed; the answer is awaited all the same.
    let _ = io::stderr().write_all(prompt.as_bytes());
    let hidden = Hidden::begin()?;
    let mut bytes = Zeroizing::new(vec![0; BYTES_MAX]);
    // A terminal gives a line at a time.
    let read = rustix::io::read(&stdin, &mut bytes[..]).map_err(|error| PassphraseError::Terminal(error.into()))?;
    drop(hidden);
    let _ = io::stderr().write_all(b"\n");
    bytes.truncate(read);
    if bytes.last() == Some(&INTERRUPT) {
        return Err(PassphraseError::Interrupted);
    }
    made_of(bytes)
}

/// A terminal that does not show what is typed, until this is dropped. Ctrl-C ends the line instead of the process, which would
/// leave the terminal as it is.
struct Hidden {
    shown: Termios,
}

impl Hidden {
    fn begin() -> Result<Hidden, PassphraseError> {
        let failed = |error: rustix::io::Errno| PassphraseError::Terminal(error.into());
        let shown = tcgetattr(io::stdin()).map_err(failed)?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        hidden.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).map_err(failed)?;
        Ok(Hidden { shown })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_of_its_file() {
        let read = |text: &[u8]| made_of(first_line(text).unwrap());
        for text in ["correct horse", "correct horse\n", "correct horse\r\n", "correct horse\nand more\n"] {
            assert!(read(text.as_bytes()).unwrap() == read(b"correct horse").unwrap(), "{text:?}");
        }
        assert!(read(b" correct horse").unwrap() != read(b"correct horse").unwrap(), "spaces are part of it");
        assert!(matches!(read(b"\nx"), Err(PassphraseError::Empty)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short");
        std::fs::write(&path, "1234567\n").unwrap();
        let source = PassphraseSource { passphrase_file: Some(path) };
        assert!(source.known().is_ok() && matches!(source.chosen(), Err(PassphraseError::Short)));
    }
}
