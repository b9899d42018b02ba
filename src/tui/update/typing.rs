//! Keys that are typed into something: a command line, a filter, a name, the palette.

use super::{Action, acting};
use crate::tui::{
    actions::{self, ACTIONS, Does, SpelledError, Typed},
    editor::Editor,
    filter::Filter,
    keymap::Key,
    palette,
    state::{Mode, Palette, State},
    suggest, words,
};

pub(super) fn paste(state: &mut State, text: &str) -> Option<Action> {
    match &mut state.mode {
        Mode::Line(editor) | Mode::Filter(editor) => editor.insert(text),
        Mode::Confirm(question) => question.typed.insert(text),
        Mode::Prompt(prompt) => prompt.typed.insert(text),
        Mode::Palette(palette) => palette.typed.insert(text),
        // What is pasted is text, and never keys.
        Mode::Browse | Mode::Help | Mode::Reading(_) => {}
    }
    None
}

pub(super) fn edit(state: &mut State, key: Key) -> Option<Action> {
    if matches!(state.mode, Mode::Line(_)) {
        state.flash.take_if(|flash| flash.is_trouble);
    }
    match (std::mem::take(&mut state.mode), key) {
        (Mode::Filter(_), Key::Esc) => state.list_mut().filter = Filter::default(),
        (_, Key::Esc) | (Mode::Filter(_), Key::Enter) => {}
        (Mode::Line(editor), Key::Enter) => return run_line(state, &editor.text()),
        (Mode::Prompt(prompt), Key::Enter) => return acting::told(state, *prompt),
        (Mode::Palette(palette), key) => return choose(state, palette, key),
        (Mode::Confirm(question), Key::Enter) => {
            let is_typed = question.expected.as_deref() == Some(question.typed.text().trim());
            state.mode = Mode::Confirm(question);
            return is_typed.then(|| acting::agree(state)).flatten();
        }
        (Mode::Line(editor), Key::Up | Key::Down) => state.mode = Mode::Line(recalled(state, editor, key == Key::Up)),
        (Mode::Line(mut editor), Key::Tab | Key::Right) if editor.is_at_end() => {
            editor.insert(&suggest::rest(state, &editor.text()).unwrap_or_default());
            state.mode = Mode::Line(editor);
        }
        (Mode::Line(mut editor), key) => {
            // Nothing is left to erase: the line is left too.
            let leaves = editor.is_empty() && key == Key::Backspace;
            editor.edit(key);
            state.mode = if leaves { Mode::Browse } else { Mode::Line(editor) };
        }
        (Mode::Filter(mut editor), key) => {
            editor.edit(key);
            state.list_mut().filter = Filter::new(&editor.text());
            state.mode = Mode::Filter(editor);
        }
        (Mode::Confirm(mut question), key) => {
            question.typed.edit(key);
            state.mode = Mode::Confirm(question);
        }
        (Mode::Prompt(mut prompt), key) => {
            prompt.typed.edit(key);
            state.mode = Mode::Prompt(prompt);
        }
        (mode @ (Mode::Browse | Mode::Help | Mode::Reading(_)), _) => state.mode = mode,
    }
    None
}

fn choose(state: &mut State, mut palette: Palette, key: Key) -> Option<Action> {
    let rows = palette::rows(state, &palette.typed.text());
    match key {
        Key::Enter => return rows.get(palette.at).and_then(|row| acting::act(state, row.id)),
        Key::Up | Key::BackTab => palette.at = palette.at.saturating_sub(1),
        Key::Down | Key::Tab => palette.at = (palette.at + 1).min(rows.len().saturating_sub(1)),
        key => {
            palette.typed.edit(key);
            palette.at = 0;
        }
    }
    state.mode = Mode::Palette(palette);
    None
}

/// The line that was run before the one shown, or after it.
fn recalled(state: &State, editor: Editor, earlier: bool) -> Editor {
    let lines: Vec<&str> = state.log.entries().iter().map(|entry| entry.line.as_str()).collect();
    let at = lines.iter().position(|line| *line == editor.text());
    let wanted = if earlier { Some(at.map_or(0, |at| at + 1)) } else { at.and_then(|at| at.checked_sub(1)) };
    match wanted.and_then(|place| lines.get(place)) {
        Some(line) => Editor::holding(line),
        None if earlier => editor,
        None => Editor::default(),
    }
}

/// An action with what it is about behind it is done to that as by its key, where it is among what is known here.
fn named(state: &mut State, all: &[String], spelled: Result<Vec<String>, SpelledError>, line: &str) -> Option<Action> {
    let row = ACTIONS.iter().find(|row| all.first().is_some_and(|name| row.name == name))?;
    let subject = all.get(1).and_then(|wanted| state.subject_named(row.scope, wanted));
    match (&row.does, subject, spelled) {
        // What its key could not be told is part of a line that somebody has written in full.
        (Does::Command(command), Some(subject), _) if all.len() == 2 || command.typed != Typed::Nothing => {
            acting::ask_about(state, row.id, command, vec![subject], &words::join(&all[2..]))
        }
        (_, _, Ok(words)) => acting::begin(state, words),
        (_, _, Err(error)) => {
            state.mode = Mode::Line(Editor::holding(line));
            let elsewhere = format!("{}: not on this screen, or not with words", row.name);
            acting::say(state, if error == SpelledError::Here(row.name) { elsewhere } else { error.to_string() }, true)
        }
    }
}

/// One word that is an action is that action, of what is selected; with what it is about behind it, it is a command line as all others.
fn run_line(state: &mut State, line: &str) -> Option<Action> {
    let Some(command) = words::split(line) else {
        state.mode = Mode::Line(Editor::holding(line));
        return acting::say(state, "a quote is not ended".into(), true);
    };
    match command.as_slice() {
        [] => None,
        [word] if actions::named(word, state.screen.scope()).is_some() => {
            let row = actions::named(word, state.screen.scope())?;
            acting::act(state, row.id)
        }
        all => match actions::spelled(all, &state.options.commands) {
            None => acting::begin(state, command),
            Some(spelled) => named(state, all, spelled, line),
        },
    }
}
