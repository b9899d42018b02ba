//! What a terminal sends, as keys, pastes and taps. Knows what terminals send for the keys that the dashboard has, and drops the rest.
//!
//! Crossterm's own reader is not used: while sizes come in a storm it loses the news that there is something to read (it asks the system for edges, and leaves
//! its loop at the first signal), so that the next key waits for the one after it and a processor spins meanwhile.

use std::time::Duration;

use ratatui::layout::Position;

use super::keymap::Key;

/// What follows an escape belongs to it if it comes within this; otherwise the escape was a key.
pub const ESCAPE_MAX: Duration = Duration::from_millis(30);
/// A longer sequence is none that is known.
const SEQUENCE_BYTES_MAX: usize = 32;
/// A person pastes less; the rest is dropped.
const PASTE_BYTES_MAX: usize = 64 << 10;
const PASTE_END: &[u8] = b"\x1b[201~";

/// Something that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    Key(Key),
    Pasted(String),
    Tapped(Position),
    Wheeled {
        up: bool,
    },
    /// The terminal says what is behind its text.
    Background {
        is_light: bool,
    },
}

/// Asks the terminal for its background: whoever knows the question answers among the keys, sooner or later.
pub const ASK_BACKGROUND: &str = "\x1b]11;?\x1b\\";
/// The answer, up to its colour.
const BACKGROUND: &[u8] = b"11;rgb:";
/// What follows: three numbers, and nothing like what a person types.
const COLOUR_BYTES_MAX: usize = 24;

/// Puts together what arrives in pieces.
#[derive(Default)]
pub struct Input {
    bytes: Vec<u8>,
    pasted: Option<Vec<u8>>,
}

/// How far the beginning of the bytes was understood.
enum Read {
    /// So many of them, and what they mean.
    Whole(usize, Option<Typed>),
    PasteBegins(usize),
    /// More of them may follow.
    Unfinished,
}

impl Input {
    /// Is something begun that more bytes may end?
    pub fn is_begun(&self) -> bool {
        // An answer of the terminal may come in pieces, over a slow line; its rest would be taken for keys.
        let is_answer = self.bytes.len() > 2 && self.bytes.starts_with(b"\x1b]");
        !self.bytes.is_empty() && self.pasted.is_none() && !is_answer
    }

    /// What is whole with these.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Typed> {
        self.bytes.extend_from_slice(bytes);
        let mut all = Vec::new();
        while !self.bytes.is_empty() {
            if self.pasted.is_some() {
                match self.paste() {
                    Some(pasted) => all.push(pasted),
                    None => break,
                }
                continue;
            }
            match read(&self.bytes) {
                Read::Whole(count, typed) => {
                    self.bytes.drain(..count);
                    all.extend(typed);
                }
                Read::PasteBegins(count) => {
                    self.bytes.drain(..count);
                    self.pasted = Some(Vec::new());
                }
                Read::Unfinished => break,
            }
        }
        all
    }

    /// Nothing follows: what is begun is all there is.
    pub fn end(&mut self) -> Option<Typed> {
        let begun = std::mem::take(&mut self.bytes);
        (begun.first() == Some(&0x1b) && begun.len() == 1).then_some(Typed::Key(Key::Esc))
    }

    /// `None` while the paste goes on.
    fn paste(&mut self) -> Option<Typed> {
        let pasted = self.pasted.as_mut()?;
        let end = self.bytes.windows(PASTE_END.len()).position(|window| window == PASTE_END);
        // What may be the beginning of its end stays.
        let text = end.unwrap_or_else(|| self.bytes.len().saturating_sub(PASTE_END.len() - 1));
        let room = PASTE_BYTES_MAX.saturating_sub(pasted.len());
        pasted.extend_from_slice(&self.bytes[..text.min(room)]);
        self.bytes.drain(..end.map_or(text, |end| end + PASTE_END.len()));
        end?;
        self.pasted.take().map(|text| Typed::Pasted(String::from_utf8_lossy(&text).into_owned()))
    }
}

fn read(bytes: &[u8]) -> Read {
    match bytes {
        [0x1b] => Read::Unfinished,
        [0x1b, b'[', rest @ ..] => sequence(rest),
        [0x1b, b']'] => Read::Unfinished,
        [0x1b, b']', rest @ ..] => answer(rest),
        [0x1b, b'O', letter, ..] => Read::Whole(3, arrow(*letter).map(Typed::Key)),
        [0x1b, b'O'] => Read::Unfinished,
        // With Alt: nothing is bound to that.
        [0x1b, 0x1b, ..] => Read::Whole(1, Some(Typed::Key(Key::Esc))),
        [0x1b, rest @ ..] => match letter(rest) {
            Some((count, _)) => Read::Whole(1 + count, None),
            None => Read::Unfinished,
        },
        [byte, ..] if *byte < 0x20 || *byte == 0x7f => Read::Whole(1, control(*byte).map(Typed::Key)),
        _ => match letter(bytes) {
            Some((count, letter)) => Read::Whole(count, letter.map(|letter| Typed::Key(Key::Char(letter)))),
            None => Read::Unfinished,
        },
    }
}

/// The bytes of the first letter, and the letter if they are one; `None` while some are missing.
fn letter(bytes: &[u8]) -> Option<(usize, Option<char>)> {
    let length = match bytes.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    match std::str::from_utf8(bytes.get(..length)?) {
        Ok(text) => Some((length, text.chars().next())),
        Err(_) => Some((1, None)),
    }
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x08 | 0x7f => Key::Backspace,
        0x01..=0x1a => Key::Ctrl(char::from(byte - 1 + b'a')),
        _ => return None,
    })
}

const fn arrow(letter: u8) -> Option<Key> {
    Some(match letter {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        b'Z' => Key::BackTab,
        _ => return None,
    })
}

/// What follows `ESC ]`: the answer that was asked for, or a key with Alt.
fn answer(rest: &[u8]) -> Read {
    let colour = match rest.strip_prefix(BACKGROUND) {
        Some(colour) => colour,
        None if BACKGROUND.starts_with(rest) => return Read::Unfinished,
        None => return Read::Whole(2, None),
    };
    let fits = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'/';
    let Some(end) = colour.iter().position(|byte| !fits(byte)) else {
        return if colour.len() > COLOUR_BYTES_MAX { Read::Whole(2 + rest.len(), None) } else { Read::Unfinished };
    };
    let before = 2 + BACKGROUND.len() + end;
    let background = || is_light(std::str::from_utf8(&colour[..end]).ok()?).map(|is_light| Typed::Background { is_light });
    match &colour[end..] {
        [0x07, ..] => Read::Whole(before + 1, background()),
        [0x1b, b'\\', ..] => Read::Whole(before + 2, background()),
        [0x1b] => Read::Unfinished,
        _ => Read::Whole(before, None),
    }
}

/// `rrrr/gggg/bbbb`, each of one to four digits: is it nearer to white, as an eye sees it?
fn is_light(colour: &str) -> Option<bool> {
    let part = |digits: &str| {
        let most = [0xf, 0xff, 0xfff, 0xffff].get(digits.len().checked_sub(1)?)?;
        Some(u32::from_str_radix(digits, 16).ok()? * 1000 / most)
    };
    let mut parts = colour.split('/').map(part);
    let (red, green, blue) = (parts.next()??, parts.next()??, parts.next()??);
    // The weights of Rec. 601.
    Some(parts.next().is_none() && red * 299 + green * 587 + blue * 114 > 500_000)
}

/// What follows `ESC [`.
fn sequence(rest: &[u8]) -> Read {
    let Some(last) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        return if rest.len() > SEQUENCE_BYTES_MAX { Read::Whole(2 + rest.len(), None) } else { Read::Unfinished };
    };
    let (parameters, count) = (std::str::from_utf8(&rest[..last]).unwrap_or_default(), 2 + last + 1);
    if let Some(mouse) = parameters.strip_prefix('<') {
        return Read::Whole(count, touched(mouse, rest[last] == b'M'));
    }
    // A modifier follows the first number: a key with Shift or Ctrl is that key.
    let key = match (rest[last], parameters.split(';').next().unwrap_or_default()) {
        (b'~', "200") => return Read::PasteBegins(count),
        (b'~', "1" | "7") => Some(Key::Home),
        (b'~', "3") => Some(Key::Delete),
        (b'~', "4" | "8") => Some(Key::End),
        (b'~', "5") => Some(Key::PageUp),
        (b'~', "6") => Some(Key::PageDown),
        (b'M', _) => None,
        (letter, _) => arrow(letter),
    };
    Read::Whole(count, key.map(Typed::Key))
}

/// `button;column;row`, both from 1.
fn touched(parameters: &str, is_press: bool) -> Option<Typed> {
    let mut numbers = parameters.split(';').map(str::parse::<u16>);
    let (button, column, row) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    match button {
        0 if is_press => Some(Typed::Tapped(Position::new(column.saturating_sub(1), row.saturating_sub(1)))),
        64 => Some(Typed::Wheeled { up: true }),
        65 => Some(Typed::Wheeled { up: false }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[Key]) -> Vec<Typed> {
        keys.iter().copied().map(Typed::Key).collect()
    }

    #[test]
    fn a_terminal_says_what_is_behind_its_text() {
        let said = |text: &str| Input::default().take(text.as_bytes());
        for (colour, is_light) in
            [("ffff/ffff/ffff", true), ("0000/0000/0000", false), ("fd/f6/e3", true), ("1/2/3", false), ("00/ff/00", true), ("00/00/ff", false)]
        {
            for end in ["\x07", "\x1b\\"] {
                let answer = format!("\x1b]11;rgb:{colour}{end}");
                let expected = [vec![Typed::Background { is_light }], keys(&[Key::Char('j')])].concat();
                assert_eq!(said(&format!("{answer}j")), expected, "{answer:?}");
                let mut input = Input::default();
                let pieces: Vec<Typed> = answer.bytes().chain([b'j']).flat_map(|byte| input.take(&[byte])).collect();
                assert_eq!(pieces, expected, "in pieces");
            }
        }
        assert_eq!(said("\x1b]j"), keys(&[Key::Char('j')]), "a key with alt is no answer");
        for odd in ["\x1b]11;rgb:fff\x07", "\x1b]11;rgb:/ffff/0\x07", "\x1b]11;rgb:fffff/f/f\x07"] {
            assert!(said(&format!("{odd}j")).ends_with(&keys(&[Key::Char('j')])), "{odd:?}");
        }
        let endless = format!("\x1b]11;rgb:{}", "f".repeat(COLOUR_BYTES_MAX + 1));
        assert_eq!(said(&endless), []);
    }

    #[test]
    fn terminals_say_keys_in_several_ways() {
        for (bytes, expected) in [
            (
                &b"a\xc3\xb1\r\n\t \x7f\x08"[..],
                vec![Key::Char('a'), Key::Char('ñ'), Key::Enter, Key::Enter, Key::Tab, Key::Char(' '), Key::Backspace, Key::Backspace],
            ),
            (b"\x03\x1a\x06", vec![Key::Ctrl('c'), Key::Ctrl('z'), Key::Ctrl('f')]),
            (b"\x1b[A\x1bOB\x1b[1;5C\x1b[D\x1b[Z", vec![Key::Up, Key::Down, Key::Right, Key::Left, Key::BackTab]),
            (b"\x1b[H\x1b[1~\x1b[F\x1b[4~\x1b[3~\x1b[5~\x1b[6;2~", vec![Key::Home, Key::Home, Key::End, Key::End, Key::Delete, Key::PageUp, Key::PageDown]),
            (b"\x1bd\x1b[15~\x1b[?1;2c\x1b[200z\xffx\x1b\x1b[A", vec![Key::Char('x'), Key::Esc, Key::Up]),
        ] {
            let mut input = Input::default();
            assert_eq!(input.take(bytes), keys(&expected), "{bytes:?}");
            assert!(!input.is_begun());
        }
    }

    #[test]
    fn it_is_the_same_in_whatever_pieces_it_comes() {
        let bytes = "ñ\x1b[A\x1b[200~d\x1b[20y\n\x1b[201~\x1b[<0;3;4M\x1b[<0;3;4m\x1b[<65;1;1Mq".as_bytes();
        let expected = vec![
            Typed::Key(Key::Char('ñ')),
            Typed::Key(Key::Up),
            Typed::Pasted("d\x1b[20y\n".into()),
            Typed::Tapped(Position::new(2, 3)),
            Typed::Wheeled { up: false },
            Typed::Key(Key::Char('q')),
        ];
        for piece in 1..=bytes.len() {
            let mut input = Input::default();
            let all: Vec<Typed> = bytes.chunks(piece).flat_map(|piece| input.take(piece)).collect();
            assert_eq!(all, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn an_escape_that_nothing_follows_is_a_key() {
        let mut input = Input::default();
        assert_eq!((input.take(b"\x1b"), input.is_begun()), (vec![], true));
        assert_eq!((input.end(), input.is_begun()), (Some(Typed::Key(Key::Esc)), false));
        assert_eq!((input.take(b"\x1b[1"), input.end()), (vec![], None));
        assert_eq!(input.take(b"a"), keys(&[Key::Char('a')]));
    }

    #[test]
    fn no_bytes_are_too_many_or_too_strange() {
        let mut input = Input::default();
        let mut seed = 1_u32;
        for _ in 0..2000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let bytes: Vec<u8> = (0..seed >> 28).map(|nth| if seed >> nth & 1 > 0 { 0x1b } else { (seed >> nth) as u8 }).collect();
            input.take(&bytes);
            assert!(input.bytes.len() <= 2 * SEQUENCE_BYTES_MAX);
        }
        input = Input::default();
        input.take(b"\x1b[200~");
        (0..100).for_each(|_| drop(input.take(&[b'x'; 4096])));
        let all = input.take(PASTE_END);
        assert!(matches!(all.as_slice(), [Typed::Pasted(text)] if text.len() == PASTE_BYTES_MAX), "{}", all.len());
    }
}
