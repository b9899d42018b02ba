//! What a person asks for.

use super::{
    Action, Errand, Secret,
    moving::{Step, travel, turn},
    show,
};
use crate::{
    control::blast_radius,
    tui::{
        actions::{self, ActionId, Command, Danger, Does, Typed},
        asked::{Query, Search},
        editor::Editor,
        guard,
        log::After,
        state::{Asks, Deed, FLASH_SPAN, Flash, Mode, Palette, Prompt, Question, Screen, State},
        subject::Subject,
        words,
    },
};

/// A person who wants more uses a script.
const DEEDS_MAX: usize = 100;

pub(super) fn act(state: &mut State, id: ActionId) -> Option<Action> {
    match &actions::row(id).does {
        Does::Command(command) => ask_or_begin(state, id, command),
        Does::Told(title) => prompt(state, id, title, vec![state.subject()]),
        Does::Here => act_here(state, id),
    }
}

fn act_here(state: &mut State, id: ActionId) -> Option<Action> {
    match id {
        ActionId::Open => open(state),
        ActionId::Back => back(state),
        ActionId::Filter => set_mode(state, Mode::Filter(Editor::holding(state.list().filter.text()))),
        ActionId::Line => set_mode(state, Mode::Line(Editor::default())),
        ActionId::Palette => set_mode(state, Mode::Palette(Palette::default())),
        ActionId::Help => set_mode(state, if state.mode == Mode::Help { Mode::Browse } else { Mode::Help }),
        ActionId::Undo => undo(state),
        ActionId::Stop => stop(state),
        // As in a pager: it leaves what stands over the rest.
        ActionId::Quit if state.mode == Mode::Help => set_mode(state, Mode::Browse),
        ActionId::Quit => Some(Action::Quit),
        ActionId::Mark => mark(state),
        ActionId::MarkAll => mark_all(state),
        ActionId::Copy => copy(state),
        ActionId::Play => play(state),
        ActionId::Later => scrub(state, Step::Down),
        ActionId::Before => scrub(state, Step::Up),
        ActionId::Refresh => show(state, Screen::Audit),
        ActionId::Sparks => sparks(state),
        ActionId::Fleet => show(state, Screen::Fleet),
        ActionId::Jobs => show(state, Screen::Jobs),
        ActionId::Projects => show(state, Screen::Projects),
        ActionId::Nearby => show(state, Screen::Nearby),
        ActionId::Events => show(state, Screen::Events),
        ActionId::Audit => show(state, Screen::Audit),
        ActionId::Log => show(state, Screen::Log),
        ActionId::Fleets => show(state, Screen::Fleets),
        ActionId::Attach => attach(state),
        ActionId::NextScreen => turn(state, 1),
        ActionId::EarlierScreen => turn(state, state.tabs().count() - 1),
        ActionId::Up => travel(state, Step::Up),
        ActionId::Down => travel(state, Step::Down),
        ActionId::PageUp => travel(state, Step::PageUp),
        ActionId::PageDown => travel(state, Step::PageDown),
        ActionId::First => travel(state, Step::First),
        ActionId::Last => travel(state, Step::Last),
        other => unreachable!("{other:?} is a command, or is told something first"),
    }
}

fn set_mode(state: &mut State, mode: Mode) -> Option<Action> {
    (state.mode, state.scroll, state.follows) = (mode, 0, true);
    None
}

fn open(state: &mut State) -> Option<Action> {
    match state.subject() {
        Subject::Nothing => None,
        Subject::Logged(number) => set_mode(state, Mode::Reading(number)),
        _ => {
            (state.opened, state.scroll) = (true, 0);
            None
        }
    }
}

/// One thing at a time: a text, what is opened, what was said, the filter, the marks, a list inside another.
fn back(state: &mut State) -> Option<Action> {
    if let Mode::Reading(number) = state.mode {
        set_mode(state, Mode::Browse);
        // Nobody reads on, and a command that only tells has nothing else to do.
        return state.log.entry(number).filter(|entry| entry.after.is_followed && entry.outcome.is_none()).map(|_| Action::Stop { number });
    }
    if state.mode != Mode::Browse {
        return set_mode(state, Mode::Browse);
    }
    state.pace.plays_at = None;
    if state.opened {
        (state.opened, state.scroll) = (false, 0);
    } else if state.flash.take().is_some() {
    } else if !state.list().filter.is_empty() {
        state.list_mut().filter = Default::default();
    } else if !state.list().marked.is_empty() {
        state.list_mut().marked.clear();
    } else if state.screen != state.screen.tab() {
        return show(state, state.screen.tab());
    }
    None
}

fn mark(state: &mut State) -> Option<Action> {
    if let Some(key) = state.list().selected.clone() {
        let marked = &mut state.list_mut().marked;
        if !marked.remove(&key) {
            marked.insert(key);
        }
        return travel(state, Step::Down);
    }
    None
}

fn mark_all(state: &mut State) -> Option<Action> {
    let all = state.shown.iter().map(|place| state.key_of(*place)).collect();
    let marked = &mut state.list_mut().marked;
    *marked = if marked.is_empty() { all } else { Default::default() };
    None
}

/// What is read, or what is selected as a person calls it.
fn copy(state: &mut State) -> Option<Action> {
    let read = match state.mode {
        Mode::Reading(number) => state.log.entry(number).map(|entry| match &entry.outcome {
            Some(outcome) => outcome.text.clone(),
            None => entry.tail.lines.iter().cloned().collect::<Vec<_>>().join("\n"),
        }),
        _ if state.opened && state.screen == Screen::Symbols => state.selected_definition().and_then(|found| Some(found.source.as_ref()?.text.clone())),
        _ => None,
    };
    let text = read.unwrap_or_else(|| state.subjects().iter().map(Subject::name).collect::<Vec<_>>().join("\n"));
    if text.is_empty() {
        return say(state, "there is nothing to copy".into(), true);
    }
    let what = if text.lines().count() == 1 { text.clone() } else { format!("{} lines", text.lines().count()) };
    // A terminal never says whether it did.
    say(state, format!("to the terminal's clipboard: {what}"), false);
    Some(Action::Copy(text))
}

fn play(state: &mut State) -> Option<Action> {
    if !state.options.motion {
        return say(state, "nothing moves by itself here: NO_MOTION is set".into(), true);
    }
    if state.pace.plays_at.take().is_none() {
        state.pace.plays_at = Some(state.now);
        if state.list().at + 1 >= state.shown.len() {
            super::moving::step(state, Step::First);
        }
        state.list_mut().follows = false;
        // Where a moment is not seen beside the list it is seen instead of it.
        if state.areas().detail.is_empty() {
            (state.opened, state.scroll) = (true, 0);
        }
    }
    None
}

/// From moment to moment, in the list or in what is opened.
fn scrub(state: &mut State, step: Step) -> Option<Action> {
    (state.pace.plays_at, state.scroll) = (None, 0);
    super::moving::step(state, step);
    None
}

/// The fleet that is shown already has its nodes on the first screen.
fn attach(state: &mut State) -> Option<Action> {
    let Some(afar) = state.selected_afar().cloned() else { return say(state, "no fleet is selected".into(), true) };
    if !state.is_attached_to(&afar) {
        return Some(Action::Attach(afar.is_elsewhere().then_some(afar.fleet)));
    }
    show(state, Screen::Fleet);
    let list = state.list_mut();
    (list.filter, list.selected) = (Default::default(), Some(afar.id));
    None
}

fn sparks(state: &mut State) -> Option<Action> {
    if state.selected_job().is_none() {
        return say(state, "no job is selected".into(), true);
    }
    state.lists[Screen::Sparks as usize] = Default::default();
    show(state, Screen::Sparks)
}

fn undo(state: &mut State) -> Option<Action> {
    let commands = state.flash.take().map(|flash| flash.undo).unwrap_or_default();
    if commands.is_empty() {
        return say(state, "there is nothing to take back".into(), false);
    }
    let deeds = commands.into_iter().map(|words| Deed { name: "that".into(), words, undo: None }).collect();
    run(state, deeds, "was taken back", None)
}

fn stop(state: &mut State) -> Option<Action> {
    match state.subject() {
        Subject::Logged(number) if state.log.entry(number).is_some_and(|entry| entry.outcome.is_none()) => Some(Action::Stop { number }),
        _ => say(state, "it is over".into(), false),
    }
}

/// Says why it cannot be done, asks, or does it.
fn ask_or_begin(state: &mut State, id: ActionId, command: &Command) -> Option<Action> {
    let subjects = state.subjects();
    ask_about(state, id, command, subjects, "")
}

/// The same, of what was named; `typed` are the words that belong to it, if they are known already.
pub(super) fn ask_about(state: &mut State, id: ActionId, command: &Command, subjects: Vec<Subject>, typed: &str) -> Option<Action> {
    let row = actions::row(id);
    if row.changes() && state.options.read_only {
        return say(state, guard::READ_ONLY.into(), true);
    }
    let (fitting, others): (Vec<Subject>, Vec<Subject>) = subjects.into_iter().partition(|subject| (command.fits)(subject));
    if fitting.is_empty() {
        let why = others.first().unwrap_or(&Subject::Nothing).misfit();
        return say(state, format!("{}: {why}", row.name), true);
    }
    if fitting.len() > DEEDS_MAX {
        return say(state, format!("{} are more than the {DEEDS_MAX} that are done at once from here", fitting.len()), true);
    }
    match command.typed {
        Typed::Words(title) if typed.is_empty() => prompt(state, id, title, fitting),
        Typed::Nothing | Typed::Words(_) => carry_out(state, id, command, &fitting, typed),
        Typed::Secret(_) if fitting.len() > 1 => say(state, format!("{}: one at a time", row.name), true),
        Typed::Secret(title) => prompt(state, id, title, fitting),
    }
}

fn prompt(state: &mut State, action: ActionId, title: &'static str, subjects: Vec<Subject>) -> Option<Action> {
    state.mode = Mode::Prompt(Box::new(Prompt { action, subjects, title, typed: Editor::default() }));
    None
}

/// What an action wanted to know was typed.
pub(super) fn told(state: &mut State, prompt: Prompt) -> Option<Action> {
    let typed = prompt.typed.text();
    match &actions::row(prompt.action).does {
        Does::Told(_) => search(state, typed.trim()),
        Does::Here => None,
        Does::Command(command) => match command.typed {
            Typed::Secret(_) => {
                let deeds = deeds(command, &prompt.subjects, "")?;
                run(state, deeds, command.done, Some(Secret(typed + "\n")))
            }
            Typed::Words(_) | Typed::Nothing => carry_out(state, prompt.action, command, &prompt.subjects, &typed),
        },
    }
}

fn search(state: &mut State, text: &str) -> Option<Action> {
    let within = state.asked.search.as_ref().map(|search| search.project);
    let project = if state.screen == Screen::Symbols { within } else { state.selected_project().map(|project| project.id) };
    let Some(project) = project else { return say(state, "no project is selected".into(), true) };
    if text.is_empty() {
        return None;
    }
    let words = Query::Symbols { project, text: text.to_owned() }.words();
    let number = state.log.begin(state.now, &words, After::default());
    state.asked.search = Some(Search { project, text: text.to_owned(), number, found: None });
    state.lists[Screen::Symbols as usize] = Default::default();
    show(state, Screen::Symbols)
}

fn deeds(command: &Command, subjects: &[Subject], typed: &str) -> Option<Vec<Deed>> {
    let undo = match command.danger {
        Danger::Reversible { undo } => undo,
        Danger::Disruptive { .. } | Danger::Final { .. } => None,
    };
    let deed = |subject: &Subject| {
        let words = actions::words(command.line, subject, typed)?;
        let undo = undo.and_then(|line| actions::words(line, subject, typed));
        // What names nothing is about the master.
        let name = if command.line.contains('{') { subject.name() } else { "the master".to_owned() };
        Some(Deed { name, words, undo })
    };
    subjects.iter().map(deed).collect()
}

fn carry_out(state: &mut State, id: ActionId, command: &Command, subjects: &[Subject], typed: &str) -> Option<Action> {
    let Some(deeds) = deeds(command, subjects, typed) else { return say(state, "a quote is not ended".into(), true) };
    // Nobody is asked about what will not be done.
    if let Some(refusal) = deeds.iter().find_map(|deed| guard::refusal(&state.options, &deed.words, &state.fleet.nodes)) {
        return say(state, refusal, true);
    }
    let (count, name) = (deeds.len(), deeds.first().map(|deed| deed.name.clone()).unwrap_or_default());
    let whom = if count == 1 { name.clone() } else { count.to_string() };
    let number = (count > state.options.unasked_max).then(|| count.to_string());
    let is_unasked = match (command.danger, state.options.asks) {
        (Danger::Reversible { .. }, asks) => asks != Asks::Everything,
        (Danger::Disruptive { .. }, asks) => asks == Asks::Final,
        (Danger::Final { .. }, _) => false,
    };
    let (plan, expected) = match command.danger {
        _ if is_unasked && number.is_none() => return run(state, deeds, command.done, None),
        Danger::Reversible { .. } if count == 1 => (actions::row(id).title, number),
        Danger::Reversible { .. } => ("That is done to all of them.", number),
        Danger::Disruptive { plan } => (plan, number),
        Danger::Final { plan } => (plan, Some(whom.clone())),
    };
    let title = format!("{} {whom}{}?", actions::row(id).name, if count == 1 { "" } else { " at once" });
    let question = Question { action: id, deeds, title, plan: planned(plan, subjects), expected, typed: Editor::default() };
    state.mode = Mode::Confirm(Box::new(question));
    None
}

/// What it means, with what is known of whom it concerns.
fn planned(plan: &str, subjects: &[Subject]) -> String {
    let whose = if subjects.len() == 1 { "It holds" } else { "They hold" };
    match subjects.iter().map(held_by).collect::<Option<Vec<_>>>() {
        Some(held) => format!("{whose} {}. {plan}", blast_radius(held)),
        None => plan.to_owned(),
    }
}

fn held_by(subject: &Subject) -> Option<(u32, &[String])> {
    match subject {
        Subject::Node(node) => Some((node.sparks, &node.projects)),
        _ => None,
    }
}

pub(super) fn agree(state: &mut State) -> Option<Action> {
    let Mode::Confirm(question) = std::mem::take(&mut state.mode) else { return None };
    let Does::Command(command) = &actions::row(question.action).does else { return None };
    run(state, question.deeds, command.done, None)
}

/// Unless it is not to be done from here.
fn run(state: &mut State, deeds: Vec<Deed>, done: &'static str, input: Option<Secret>) -> Option<Action> {
    if let Some(refusal) = deeds.iter().find_map(|deed| guard::refusal(&state.options, &deed.words, &state.fleet.nodes)) {
        return say(state, refusal, true);
    }
    let batch = (deeds.len() > 1).then(|| state.log.next_number());
    let begin = |deed: Deed| {
        let is_followed = actions::follows(&deed.words);
        let after = After { done: (!done.is_empty()).then_some((deed.name, done)), undo: deed.undo, batch, is_followed };
        let number = state.log.begin(state.now, &deed.words, after);
        Errand { number, words: deed.words, input: input.clone() }
    };
    let errands: Vec<Errand> = deeds.into_iter().map(begin).collect();
    state.list_mut().marked.clear();
    if let Some(number) = errands.iter().map(|errand| errand.number).find(|number| state.log.entry(*number).is_some_and(|entry| entry.after.is_followed)) {
        set_mode(state, Mode::Reading(number));
    }
    Some(Action::Run(errands))
}

/// Runs a command line as it was typed.
pub(super) fn begin(state: &mut State, words: Vec<String>) -> Option<Action> {
    run(state, vec![Deed { name: String::new(), words, undo: None }], "", None)
}

pub(super) fn say(state: &mut State, text: String, is_trouble: bool) -> Option<Action> {
    state.flash = Some(Flash { text, is_trouble, until: state.now + FLASH_SPAN, undo: Vec::new() });
    None
}

/// What was done, and how it is taken back.
pub(super) fn offer(state: &mut State, text: String, undo: Vec<Vec<String>>) {
    let text = match undo.as_slice() {
        [] => text,
        [one] => format!("{text} · u: {}", words::join(one)),
        several => format!("{text} · u takes back {}", several.len()),
    };
    state.flash = Some(Flash { text, is_trouble: false, until: state.now + FLASH_SPAN, undo });
}
