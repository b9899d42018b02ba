//! What a person asks for.

use super::{Action, Step, show, travel};
use crate::tui::{
    actions::{self, ActionId, Command, Danger, Does},
    editor::Editor,
    log::After,
    state::{FLASH_SPAN, Flash, Mode, Question, Screen, State, Subject},
    words,
};

pub(super) fn act(state: &mut State, id: ActionId) -> Option<Action> {
    let row = actions::row(id);
    if let Does::Command(command) = &row.does {
        return ask_or_begin(state, id, command);
    }
    match id {
        ActionId::Open => open(state),
        ActionId::Back => back(state),
        ActionId::Filter => set_mode(state, Mode::Filter(Editor::holding(state.list().filter.text()))),
        ActionId::Line => set_mode(state, Mode::Line(Editor::default())),
        ActionId::Help => set_mode(state, if state.mode == Mode::Help { Mode::Browse } else { Mode::Help }),
        ActionId::Undo => undo(state),
        ActionId::Stop => stop(state),
        ActionId::Quit => Some(Action::Quit),
        ActionId::Fleet => show(state, Screen::Fleet),
        ActionId::Jobs => show(state, Screen::Jobs),
        ActionId::Projects => show(state, Screen::Projects),
        ActionId::Log => show(state, Screen::Log),
        ActionId::NextScreen => turn(state, 1),
        ActionId::EarlierScreen => turn(state, Screen::ALL.len() - 1),
        ActionId::Up => go(state, Step::Up),
        ActionId::Down => go(state, Step::Down),
        ActionId::PageUp => go(state, Step::PageUp),
        ActionId::PageDown => go(state, Step::PageDown),
        ActionId::First => go(state, Step::First),
        ActionId::Last => go(state, Step::Last),
        ActionId::Cordon
        | ActionId::Uncordon
        | ActionId::Drain
        | ActionId::Shutdown
        | ActionId::Remove
        | ActionId::Pause
        | ActionId::Resume
        | ActionId::Retry
        | ActionId::Cancel
        | ActionId::Raise
        | ActionId::Lower
        | ActionId::Explain
        | ActionId::Analyse => unreachable!("its row is a command"),
    }
}

fn go(state: &mut State, step: Step) -> Option<Action> {
    travel(state, step);
    None
}

fn turn(state: &mut State, by: usize) -> Option<Action> {
    show(state, Screen::ALL[(state.screen as usize + by) % Screen::ALL.len()])
}

fn set_mode(state: &mut State, mode: Mode) -> Option<Action> {
    (state.mode, state.scroll) = (mode, 0);
    None
}

fn open(state: &mut State) -> Option<Action> {
    match state.subject() {
        Subject::Logged(number) => return set_mode(state, Mode::Reading(number)),
        Subject::Nothing => {}
        Subject::Node(_) | Subject::Job(_) | Subject::Project(_) => state.opened = true,
    }
    None
}

/// One thing at a time: a text, what is opened, what was said, the filter.
fn back(state: &mut State) -> Option<Action> {
    if state.mode != Mode::Browse {
        return set_mode(state, Mode::Browse);
    }
    if state.opened {
        state.opened = false;
    } else if state.flash.take().is_none() {
        state.list_mut().filter = Default::default();
    }
    None
}

fn undo(state: &mut State) -> Option<Action> {
    match state.flash.take().and_then(|flash| flash.undo) {
        Some(command) => begin(state, command, After { done: Some("taken back".into()), undo: None }),
        None => say(state, "there is nothing to take back".into(), false),
    }
}

fn stop(state: &mut State) -> Option<Action> {
    match state.subject() {
        Subject::Logged(number) if state.log.entry(number).is_some_and(|entry| entry.outcome.is_none()) => Some(Action::Stop { number }),
        _ => say(state, "it is over".into(), false),
    }
}

/// Says why it cannot be done, asks, or does it.
fn ask_or_begin(state: &mut State, id: ActionId, command: &Command) -> Option<Action> {
    let (row, subject) = (actions::row(id), state.subject());
    if !(command.fits)(&subject) {
        return say(state, format!("{}: {}", row.name, misfit(&subject)), true);
    }
    let words = actions::words(command.line, &subject)?;
    let name = name_of(&subject);
    match command.danger {
        Danger::Reversible { undo } => {
            let after = After { done: done(command, &name), undo: undo.and_then(|line| actions::words(line, &subject)) };
            begin(state, words, after)
        }
        Danger::Disruptive { plan } => ask(state, Question { action: id, words, title: title(row.name, &name), plan: planned(plan, &subject), ..empty() }),
        Danger::Final { plan } => {
            let expected = Some(name.clone());
            ask(state, Question { action: id, words, title: title(row.name, &name), plan: planned(plan, &subject), expected, ..empty() })
        }
    }
}

fn misfit(subject: &Subject) -> String {
    match subject {
        Subject::Nothing => "nothing is selected".into(),
        Subject::Node(node) => format!("{} is {}", node.name, if node.is_active { "active" } else { "closed already" }),
        Subject::Job(job) => format!("{} is {}, with priority {}", job.id, job.status.name(), job.priority.name()),
        Subject::Project(project) => project.name.clone(),
        Subject::Logged(_) => "it was run already".into(),
    }
}

fn title(verb: &str, name: &str) -> String {
    format!("{verb} {name}?")
}

fn done(command: &Command, name: &str) -> Option<String> {
    (!command.done.is_empty()).then(|| format!("{name} {}", command.done))
}

fn empty() -> Question {
    Question { action: ActionId::Back, words: Vec::new(), title: String::new(), plan: String::new(), expected: None, typed: Editor::default() }
}

/// What it means, with what is known of whom it concerns.
fn planned(plan: &str, subject: &Subject) -> String {
    match subject {
        Subject::Node(node) if node.sparks == 1 => format!("It holds 1 spark. {plan}"),
        Subject::Node(node) => format!("It holds {} sparks. {plan}", node.sparks),
        _ => plan.to_owned(),
    }
}

fn name_of(subject: &Subject) -> String {
    match subject {
        Subject::Nothing => String::new(),
        Subject::Node(node) => node.handle.clone(),
        Subject::Job(job) => job.id.to_string(),
        Subject::Project(project) => project.name.clone(),
        Subject::Logged(number) => number.to_string(),
    }
}

fn ask(state: &mut State, question: Question) -> Option<Action> {
    state.mode = Mode::Confirm(Box::new(question));
    None
}

pub(super) fn agree(state: &mut State) -> Option<Action> {
    let Mode::Confirm(question) = std::mem::take(&mut state.mode) else { return None };
    let Does::Command(command) = &actions::row(question.action).does else { return None };
    let name = question.title.trim_end_matches('?').rsplit(' ').next().unwrap_or_default().to_owned();
    begin(state, question.words, After { done: done(command, &name), undo: None })
}

pub(super) fn begin(state: &mut State, words: Vec<String>, after: After) -> Option<Action> {
    let number = state.log.begin(state.now, &words, after);
    Some(Action::Run { number, words })
}

pub(super) fn say(state: &mut State, text: String, is_trouble: bool) -> Option<Action> {
    state.flash = Some(Flash { text, is_trouble, until: state.now + FLASH_SPAN, undo: None });
    None
}

/// What was done, and how it is taken back.
pub(super) fn offer(state: &mut State, text: String, undo: Option<Vec<String>>) {
    let text = undo.as_ref().map_or_else(|| text.clone(), |undo| format!("{text} · u: {}", words::join(undo)));
    state.flash = Some(Flash { text, is_trouble: false, until: state.now + FLASH_SPAN, undo });
}
