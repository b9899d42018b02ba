//! What a terminal says of itself when it is asked. It has a moment to answer, and is afterwards as it was.

use std::{
    io::{self, Write, stdin, stdout},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};

/// Do you know the mouse in figures of any size? What are you? The last one is answered by every terminal, so nobody waits after it.
const QUESTIONS: &[u8] = b"\x1b[?1006$p\x1b[c";
/// Over a slow link, too.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// Both answers are short; whatever is typed meanwhile may come with them.
const ANSWER_BYTES_MAX: usize = 256;

/// What was answered; `None` for what was not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Did it answer at all?
    pub(super) answered: bool,
    pub(super) mouse: Option<bool>,
    /// Does it take text for its clipboard? Only terminals that do say so.
    pub(super) clipboard: Option<bool>,
}

/// Both ends have to be the terminal.
pub(super) fn ask() -> io::Result<Abilities> {
    let silent = Silent::begin()?;
    stdout().write_all(QUESTIONS)?;
    stdout().flush()?;
    let answer = listen();
    drop(silent);
    Ok(understood(&answer?))
}

fn listen() -> io::Result<Vec<u8>> {
    let (begun, mut answer) = (Instant::now(), Vec::new());
    while !is_whole(&answer) && answer.len() < ANSWER_BYTES_MAX {
        let left = ANSWER_MAX.saturating_sub(begun.elapsed());
        let patience = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
        let terminal = stdin();
        match poll(&mut [PollFd::new(&terminal, PollFlags::IN)], Some(&patience)) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(0) => break,
            Ok(_) => {}
        }
        let mut bytes = [0; ANSWER_BYTES_MAX];
        match rustix::io::read(&terminal, &mut bytes)? {
            0 => break,
            count => answer.extend_from_slice(&bytes[..count]),
        }
    }
    Ok(answer)
}

/// `ESC [ ? … c` ends it.
fn attributes(answer: &[u8]) -> Option<&[u8]> {
    let begins = |place: &usize| answer[*place..].starts_with(b"\x1b[?");
    (0..answer.len()).filter(begins).find_map(|place| {
        let rest = &answer[place + 3..];
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b';')?;
        (rest[end] == b'c').then_some(&rest[..end])
    })
}

fn is_whole(answer: &[u8]) -> bool {
    attributes(answer).is_some()
}

fn understood(answer: &[u8]) -> Abilities {
    let attributes = attributes(answer);
    let mouse = answer.windows(9).find(|window| window.starts_with(b"?1006;") && window.ends_with(b"$y")).map(|window| matches!(window[6], b'1'..=b'3'));
    let clipboard = attributes.filter(|list| list.split(|byte| *byte == b';').any(|number| number == b"52")).map(|_| true);
    Abilities { answered: attributes.is_some(), mouse, clipboard }
}

/// A terminal that shows nothing of what it answers, and gives it letter by letter. A signal from the keyboard would leave it like this, and waits.
struct Silent {
    before: Termios,
}

impl Silent {
    fn begin() -> io::Result<Silent> {
        let before = tcgetattr(stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(stdin(), OptionalActions::Now, &silent)?;
        Ok(Silent { before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminals_answers_are_understood() {
        let all = understood(b"\x1b[?1006;2$y\x1b[?62;4;52c");
        assert_eq!(all, Abilities { answered: true, mouse: Some(true), clipboard: Some(true) });
        assert_eq!(understood(b"x\x1b[?1006;0$y\x1b[?1;2c"), Abilities { answered: true, mouse: Some(false), clipboard: None });
        assert_eq!(understood(b"\x1b[?6c"), Abilities { answered: true, mouse: None, clipboard: None });
        for none in [&b""[..], b"\x1b[?62;52", b"\x1b[?1006;2$y", b"c"] {
            assert!(!is_whole(none));
        }
    }
}
