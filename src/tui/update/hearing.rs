//! What is heard from outside: the master's news, and what commands came to.

use bitacora_core::time::Span;

use super::{Action, Heard, acting, moving};
use crate::{
    control::watch::{Change, Gone, News},
    report::text::counted,
    tui::{
        actions,
        asked::{Afar, Query, Reply},
        log::Outcome,
        state::{Feed, Mode, Screen, State},
    },
};

/// Events that are remembered; the master remembers more.
const EVENTS_MAX: usize = 4096;
/// For as long a chart shows a change.
const CHART_SPAN: Span = Span::from_secs(60);
/// Figures come once a second, and not to the millisecond.
const NEWS_LATE: Span = Span::from_millis(250);

/// News that change nothing that is shown make no frame.
pub(super) fn on_heard(state: &mut State, heard: Heard) -> Option<Action> {
    match heard {
        Heard::News(news) => on_news(state, *news),
        Heard::NoMaster if state.feed == Feed::Live => lose(state, "the master has ended"),
        Heard::NoMaster if matches!(state.feed, Feed::Lost { .. }) => {}
        Heard::NoMaster => hear(state, Feed::NoMaster),
        Heard::Failed(why) => {
            acting::say(state, why.clone(), true);
            lose(state, &why);
        }
    }
    None
}

fn on_news(state: &mut State, news: News) {
    state.dirty |= !news.is_empty();
    if news.from_nothing {
        state.history.clear();
        state.events.clear();
    }
    news.apply(&mut state.fleet);
    let second = state.now.0 / 1_000_000;
    let known = news.histories.into_iter().map(|(id, history)| (id.to_string(), history.told_at(news.at.0 / 1_000_000, second)));
    state.history.extend(known);
    for change in &news.changes {
        match change {
            Change::Node(node) => {
                let history = state.history.entry(node.id.clone()).or_default();
                history.push(second, node.cpu_permille);
                state.pace.moves_until = state.now + CHART_SPAN;
                // What is drawn for the news moves the charts as well: by themselves they move where the next ones are late.
                state.pace.ticked = state.now + NEWS_LATE;
            }
            Change::Gone(Gone::Node(id)) => drop(state.history.remove(id)),
            Change::Job(_) | Change::Project(_) | Change::Gone(_) => {}
        }
    }
    state.events.extend(news.events);
    let surplus = state.events.len().saturating_sub(EVENTS_MAX);
    state.events.drain(..surplus);
    if let Some(focused) = news.focused {
        state.watched = *focused;
    }
    hear(state, Feed::Live);
}

fn hear(state: &mut State, feed: Feed) {
    state.dirty |= state.feed != feed;
    state.feed = feed;
}

/// What was shown stays, and says how old it is: that changes by itself.
fn lose(state: &mut State, why: &str) {
    let since = match &state.feed {
        Feed::Lost { since, .. } => *since,
        Feed::Waiting | Feed::NoMaster | Feed::Live => state.now,
    };
    state.feed = Feed::Lost { since, why: why.to_owned() };
    state.dirty = true;
}

pub(super) fn on_answer(state: &mut State, query: &Query, reply: Reply) -> Option<Action> {
    if let (Query::Symbols { project, text }, Some(search)) = (query, &state.asked.search)
        && (search.project, &search.text) == (*project, text)
    {
        let (code, text) = match &reply {
            Reply::Symbols(found) => (0, counted(found.len() as u64, "symbol")),
            Reply::Failed(why) => (1, why.clone()),
            Reply::Result(_) | Reply::Audit(_) | Reply::Fleets(_) => (1, String::new()),
        };
        state.log.end(search.number, Outcome { code: Some(code), text });
    }
    let fleet = state.selected_afar().map(|afar| afar.fleet.clone());
    state.asked.take(query, reply, state.now);
    // Of a fleet that has fallen silent its one line is selected, and not a node of another fleet.
    if let (Query::Fleets, Some(fleet), None) = (query, fleet, state.selected_afar()) {
        let left = state.asked.fleets.iter().find(|afar| afar.fleet == fleet).map(Afar::key);
        let list = &mut state.lists[Screen::Fleets as usize];
        list.selected = left.or_else(|| list.selected.take());
    }
    None
}

/// Whoever reads it and has not scrolled up sees its end.
pub(super) fn on_said(state: &mut State, number: u32, text: &str, dropped: u64) -> Option<Action> {
    state.log.say(number, text, dropped);
    if state.mode == Mode::Reading(number) {
        state.dirty = true;
        moving::follow(state);
    }
    None
}

pub(super) fn on_ran(state: &mut State, number: u32, outcome: Outcome) -> Option<Action> {
    let (went_well, lines, last) = (outcome.went_well(), outcome.text.lines().count(), outcome.last_line().to_owned());
    let entry = state.log.end(number, outcome)?;
    let (line, after) = (entry.line.clone(), entry.after.clone());
    // Most of what is done from here is audited.
    state.asked.audit_is_due = true;
    if let Some(batch) = after.batch {
        return on_batch(state, batch);
    }
    match after.done {
        Some((name, done)) if went_well => {
            let undo = after.undo.map(|undo| actions::with_said(undo, &last));
            acting::offer(state, format!("{name} {done}"), undo.into_iter().collect());
        }
        // Where there is little room, why counts more than what.
        Some(_) => return acting::say(state, format!("{last} ({line})"), true),
        // It was read while it ran.
        None if after.is_followed => {}
        // Nobody is torn from what they are doing.
        None if lines > 1 && state.mode == Mode::Browse => (state.mode, state.scroll) = (Mode::Reading(number), 0),
        None => return acting::say(state, last, !went_well),
    }
    None
}

/// Said once, when all that was asked for at once is over.
fn on_batch(state: &mut State, batch: u32) -> Option<Action> {
    let (mut well, mut badly, mut undo, mut word) = (0, 0, Vec::new(), "done");
    for entry in state.log.batch(batch) {
        match &entry.outcome {
            None => return None,
            Some(outcome) if outcome.went_well() => {
                well += 1;
                undo.extend(entry.after.undo.clone().map(|undo| actions::with_said(undo, outcome.last_line())));
                word = entry.after.done.as_ref().map_or(word, |(_, done)| done);
            }
            Some(_) => badly += 1,
        }
    }
    if badly > 0 {
        acting::say(state, format!("{well} {word}, {badly} failed: 7 shows why"), true);
        state.flash.iter_mut().for_each(|flash| flash.undo.clone_from(&undo));
    } else {
        acting::offer(state, format!("{well} {word}"), undo);
    }
    None
}
