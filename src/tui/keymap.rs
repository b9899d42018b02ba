//! From keys to what they mean where the person is. Reads the table of actions and decides nothing that is not in it.

use super::{
    actions::{ACTIONS, Row, Scope},
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

impl Key {
    /// As it stands in hints and help.
    pub fn name(self) -> String {
        match self {
            Key::Char(' ') => "space".into(),
            Key::Char(letter) => letter.to_string(),
            Key::Ctrl(letter) => format!("ctrl-{letter}"),
            Key::Enter => "enter".into(),
            Key::Esc => "esc".into(),
            Key::Tab => "tab".into(),
            Key::BackTab => "shift-tab".into(),
            Key::Backspace => "backspace".into(),
            Key::Delete => "delete".into(),
            Key::Up => "up".into(),
            Key::Down => "down".into(),
            Key::Left => "left".into(),
            Key::Right => "right".into(),
            Key::Home => "home".into(),
            Key::End => "end".into(),
            Key::PageUp => "page-up".into(),
            Key::PageDown => "page-down".into(),
        }
    }
}

/// What a key means now; `None` for one that means nothing.
pub fn meaning(state: &State, key: Key) -> Option<Cmd> {
    match (&state.mode, key) {
        // These two never type and never wait for an answer.
        (_, Key::Ctrl('c')) => Some(Cmd::Quit),
        (_, Key::Ctrl('z')) => Some(Cmd::Suspend),
        (Mode::Browse | Mode::Help | Mode::Reading(_), key) => bound(state.scope(), key).map(|row| Cmd::Do(row.id)),
        (Mode::Line(_) | Mode::Filter(_) | Mode::Palette(_) | Mode::Prompt(_), key) => Some(Cmd::Edit(key)),
        (Mode::Confirm(question), key) if question.expected.is_some() => Some(Cmd::Edit(key)),
        (Mode::Confirm(_), Key::Char('y')) => Some(Cmd::Agree),
        // Whatever else is pressed is not a yes.
        (Mode::Confirm(_), _) => Some(Cmd::Dismiss),
    }
}

/// The action that a key stands for in a place.
pub fn bound(scope: Scope, key: Key) -> Option<&'static Row> {
    ACTIONS.iter().find(|row| row.scope.reaches(scope) && row.keys.contains(&key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::actions::Does;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for scope in Scope::PLACES {
            let mut seen = std::collections::BTreeMap::new();
            for row in ACTIONS.iter().filter(|row| row.scope.reaches(scope)) {
                for key in row.keys {
                    let other = seen.insert(*key, row.name);
                    assert_eq!(other, None, "{} means {:?} and {} in {scope:?}", key.name(), other, row.name);
                }
            }
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
            "# Keys\n\nMade of the table of actions in `src/tui/actions.rs`; a test holds this page to it. A name works after `:` as well, and `P` finds an action \
             by a few letters of it.\n",
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
