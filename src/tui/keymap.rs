//! From keys to what they mean where the person is. Reads the table of actions and decides nothing that is not in it.

use std::collections::BTreeMap;

use super::{
    actions::{ACTIONS, ActionId, Row, Scope},
    state::{Mode, State},
    update::Cmd,
};

/// A key as the dashboard knows it: nothing that a phone's keyboard could not send is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Char(char),
    Ctrl(char),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

/// Keys that are not one letter.
const NAMES: [(Key, &str); 15] = [
    (Key::Char(' '), "space"),
    (Key::Enter, "enter"),
    (Key::Esc, "esc"),
    (Key::Tab, "tab"),
    (Key::BackTab, "shift-tab"),
    (Key::Backspace, "backspace"),
    (Key::Delete, "delete"),
    (Key::Up, "up"),
    (Key::Down, "down"),
    (Key::Left, "left"),
    (Key::Right, "right"),
    (Key::Home, "home"),
    (Key::End, "end"),
    (Key::PageUp, "page-up"),
    (Key::PageDown, "page-down"),
];
/// What stands for these on every terminal: tab, enter and backspace are sent as them, and two have their meaning everywhere.
const CTRL_TAKEN: &str = "chijmz";

impl Key {
    /// As it stands in hints and help.
    pub fn name(self) -> String {
        match (NAMES.iter().find(|(key, _)| *key == self), self) {
            (Some((_, name)), _) => (*name).to_owned(),
            (None, Key::Ctrl(letter)) => format!("ctrl-{letter}"),
            (None, Key::Char(letter)) => letter.to_string(),
            (None, _) => unreachable!("every other key has its name in the list"),
        }
    }

    /// The key of a name; `None` for one that no terminal sends, or that has its meaning already.
    pub fn named(name: &str) -> Option<Key> {
        if let Some((key, _)) = NAMES.iter().find(|(_, known)| *known == name) {
            return Some(*key);
        }
        let (ctrl, letter) = name.strip_prefix("ctrl-").map_or((false, name), |letter| (true, letter));
        let mut letters = letter.chars();
        match (ctrl, letters.next()?, letters.next()) {
            (false, letter, None) if !letter.is_control() && !letter.is_whitespace() => Some(Key::Char(letter)),
            (true, letter @ 'a'..='z', None) if !CTRL_TAKEN.contains(letter) => Some(Key::Ctrl(letter)),
            _ => None,
        }
    }
}

/// The keys of the actions: those of the table, but where a person has others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keymap {
    own: BTreeMap<ActionId, Vec<Key>>,
}

/// A key that means two things in one place.
#[derive(Clone, Copy)]
pub struct Conflict {
    pub key: Key,
    pub place: Scope,
    pub rows: [&'static Row; 2],
}

impl Keymap {
    /// These instead of the table's; none of them leaves the action its name alone.
    pub fn bind(&mut self, id: ActionId, keys: Vec<Key>) {
        self.own.insert(id, keys);
    }

    pub fn keys<'k>(&'k self, row: &'k Row) -> &'k [Key] {
        self.own.get(&row.id).map_or(row.keys, Vec::as_slice)
    }

    /// For a hint.
    pub fn first(&self, row: &Row) -> Option<Key> {
        self.keys(row).first().copied()
    }

    /// The action that a key stands for in a place.
    pub fn bound(&self, place: Scope, key: Key) -> Option<&'static Row> {
        ACTIONS.iter().find(|row| row.scope.reaches(place) && self.keys(row).contains(&key))
    }

    /// Where a key means two things; one place of each two actions.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut found: Vec<Conflict> = Vec::new();
        for place in Scope::PLACES {
            let mut seen: BTreeMap<Key, &'static Row> = BTreeMap::new();
            for row in ACTIONS.iter().filter(|row| row.scope.reaches(place)) {
                for key in self.keys(row) {
                    let Some(other) = seen.insert(*key, row) else { continue };
                    let is_known = |known: &Conflict| known.key == *key && known.rows.map(|row| row.id) == [other.id, row.id];
                    if !found.iter().any(is_known) {
                        found.push(Conflict { key: *key, place, rows: [other, row] });
                    }
                }
            }
        }
        found
    }
}

/// What a key means now; `None` for one that means nothing.
pub fn meaning(state: &State, key: Key) -> Option<Cmd> {
    match (&state.mode, key) {
        // These two never type and never wait for an answer.
        (_, Key::Ctrl('c')) => Some(Cmd::Quit),
        (_, Key::Ctrl('z')) => Some(Cmd::Suspend),
        (Mode::Browse | Mode::Help | Mode::Reading(_), key) => state.options.keymap.bound(state.scope(), key).map(|row| Cmd::Do(row.id)),
        (Mode::Line(_) | Mode::Filter(_) | Mode::Palette(_) | Mode::Prompt(_), key) => Some(Cmd::Edit(key)),
        (Mode::Confirm(question), key) if question.expected.is_some() => Some(Cmd::Edit(key)),
        (Mode::Confirm(_), Key::Char('y')) => Some(Cmd::Agree),
        // Whatever else is pressed is not a yes.
        (Mode::Confirm(_), _) => Some(Cmd::Dismiss),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::actions::Does;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        let said = |Conflict { key, place, rows: [one, other] }| format!("{} means {} and {} in {place:?}", key.name(), one.name, other.name);
        assert_eq!(Keymap::default().conflicts().into_iter().map(said).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn a_persons_keys_stand_instead_of_the_tables() {
        let mut keymap = Keymap::default();
        keymap.bind(ActionId::Drain, vec![Key::Char('D')]);
        keymap.bind(ActionId::Cordon, Vec::new());
        let bound = |keymap: &Keymap, key| keymap.bound(Scope::Fleet, key).map(|row| row.id);
        assert_eq!([Key::Char('D'), Key::Char('d'), Key::Char('c')].map(|key| bound(&keymap, key)), [Some(ActionId::Drain), None, None]);
        assert!(keymap.conflicts().is_empty());
        // One place of one screen, and one of all.
        keymap.bind(ActionId::Drain, vec![Key::Char('o'), Key::Char('q')]);
        let conflicts: Vec<(char, [ActionId; 2])> = keymap
            .conflicts()
            .iter()
            .map(|conflict| match conflict.key {
                Key::Char(letter) => (letter, conflict.rows.map(|row| row.id)),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(conflicts, [('o', [ActionId::Uncordon, ActionId::Drain]), ('q', [ActionId::Drain, ActionId::Quit])]);
        keymap.bind(ActionId::Quit, vec![Key::Up]);
        assert_eq!(keymap.conflicts().len(), 2, "wherever it is, it is said once");
    }

    #[test]
    fn keys_are_written_as_they_are_shown() {
        for key in ACTIONS.iter().flat_map(|row| row.keys) {
            assert_eq!(Key::named(&key.name()), Some(*key));
        }
        for none in ["", " ", "F5", "ctrl-", "ctrl-1", "ctrl-c", "ctrl-z", "ctrl-m", "alt-x", "ab", "\u{1b}"] {
            assert_eq!(Key::named(none), None, "{none:?}");
        }
    }

    #[test]
    fn names_and_ids_stand_once() {
        for (place, row) in ACTIONS.iter().enumerate() {
            let twin = ACTIONS[..place].iter().find(|other| other.name == row.name || other.id == row.id);
            assert!(twin.is_none(), "{} stands twice", row.name);
            assert!(!row.title.ends_with('.') && !row.hint.is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn every_action_has_a_key_that_every_keyboard_has() {
        // A phone's keyboard has letters, digits and / at hand; Alt, F-keys and Ctrl it may not have at all.
        let plain = |key: &Key| match key {
            Key::Char(letter) => letter.is_ascii_alphanumeric() || [' ', '/'].contains(letter),
            Key::Enter | Key::Esc | Key::Tab | Key::Up | Key::Down | Key::Left | Key::Right => true,
            Key::Ctrl(_) | Key::BackTab | Key::Backspace | Key::Delete | Key::Home | Key::End | Key::PageUp | Key::PageDown => false,
        };
        for row in ACTIONS {
            assert!(row.keys.iter().any(plain), "{}", row.name);
        }
    }

    /// The keys page of the docs, made of the table.
    fn page() -> String {
        let mut page = String::from(
            "# Keys\n\nMade of the table of actions in `src/tui/actions.rs`; a test holds this page to it. A name works after `:` as well, of what is selected or with \
             what it is about behind it, as `cordon anvil`. One that has a command works so in a script too, where nobody is asked. `P` finds an action by a few \
             letters of it.\n",
        );
        for scope in std::iter::once(Scope::Anywhere).chain(Scope::PLACES) {
            let rows: Vec<&Row> = ACTIONS.iter().filter(|row| row.scope == scope).collect();
            if rows.is_empty() {
                continue;
            }
            page.push_str(&format!("\n## {scope:?}\n\n| keys | name | does | command |\n|---|---|---|---|\n"));
            for row in rows {
                let keys: Vec<String> = row.keys.iter().map(|key| format!("`{}`", key.name().replace('`', "grave"))).collect();
                let command = match &row.does {
                    Does::Command(command) => format!("`{}`", command.line),
                    Does::Here | Does::Told(_) => String::new(),
                };
                page.push_str(&format!("| {} | {} | {} | {command} |\n", keys.join(" "), row.name, row.title));
            }
        }
        page
    }

    #[test]
    fn the_docs_name_every_key() {
        let page = page();
        let there = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keys.md")).unwrap_or_default();
        if page != there {
            let made = std::env::temp_dir().join("keys.md");
            std::fs::write(&made, &page).unwrap();
            panic!("docs/keys.md is not what the table says; {} is", made.display());
        }
    }
}
