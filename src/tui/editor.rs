//! One line that is being typed. Holds no more than a command line may have.

use super::keymap::Key;

/// A person types less; a paste may be anything.
const CHARS_MAX: usize = 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Editor {
    text: Vec<char>,
    /// Before which character the next one is put.
    at: usize,
}

impl Editor {
    pub fn holding(text: &str) -> Editor {
        let text: Vec<char> = text.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect();
        Editor { at: text.len(), text }
    }

    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// What stands before the place of the next character, and what after it.
    pub fn halves(&self) -> (String, String) {
        let (before, after) = self.text.split_at(self.at);
        (before.iter().collect(), after.iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub fn insert(&mut self, text: &str) {
        for letter in text.chars().filter(|c| !c.is_control()).take(CHARS_MAX - self.text.len()) {
            self.text.insert(self.at, letter);
            self.at += 1;
        }
    }

    pub fn edit(&mut self, key: Key) {
        match key {
            Key::Char(letter) => self.insert(letter.encode_utf8(&mut [0; 4])),
            Key::Backspace if self.at > 0 => {
                self.at -= 1;
                self.text.remove(self.at);
            }
            Key::Delete if self.at < self.text.len() => drop(self.text.remove(self.at)),
            Key::Left => self.at = self.at.saturating_sub(1),
            Key::Right => self.at = (self.at + 1).min(self.text.len()),
            Key::Home | Key::Ctrl('a') => self.at = 0,
            Key::End | Key::Ctrl('e') => self.at = self.text.len(),
            Key::Ctrl('u') => {
                self.text.drain(..self.at);
                self.at = 0;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_and_mended() {
        let mut editor = Editor::default();
        for key in [Key::Char('a'), Key::Char('ñ'), Key::Char('c'), Key::Left, Key::Backspace, Key::Char('b'), Key::End, Key::Char('d')] {
            editor.edit(key);
        }
        assert_eq!(editor.text(), "abcd");
        editor.edit(Key::Home);
        editor.edit(Key::Delete);
        assert_eq!(editor.halves(), (String::new(), "bcd".into()));
        editor.insert(&"x\u{1b}\n".repeat(5000));
        assert_eq!(editor.text().chars().count(), CHARS_MAX);
        assert!(editor.text().ends_with("xbcd"));
    }
}
