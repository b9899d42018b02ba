//! What is heard from outside: the master's snapshots, and what commands came to.

use std::collections::BTreeMap;

use super::{Action, Heard, Report, acting};
use crate::{
    control::Snapshot,
    tui::{
        log::Outcome,
        state::{Feed, Mode, State},
    },
};

/// A report that changes nothing that is shown makes no frame.
pub(super) fn on_report(state: &mut State, report: Report) -> Option<Action> {
    match report.fleet {
        Heard::Snapshot(fleet) => on_snapshot(state, *fleet),
        Heard::NoMaster if state.feed == Feed::Live => lose(state, "the master has ended"),
        Heard::NoMaster if matches!(state.feed, Feed::Lost { .. }) => state.dirty = true,
        Heard::NoMaster => hear(state, Feed::NoMaster),
        Heard::Failed(why) => lose(state, &why),
    }
    if state.feed == Feed::Live && (state.watched.node != report.node || state.watched.reasons != report.reasons) {
        (state.watched.node, state.watched.reasons) = (report.node, report.reasons);
        state.dirty = true;
    }
    None
}

fn on_snapshot(state: &mut State, fleet: Snapshot) {
    let mut known = std::mem::take(&mut state.history);
    let mut history = BTreeMap::new();
    for node in &fleet.nodes {
        let mut samples = known.remove(&node.id).unwrap_or_default();
        samples.push(node.cpu_permille);
        history.insert(node.id.clone(), samples);
    }
    state.history = history;
    // Work that is under way has figures that depend on the moment.
    let moves = fleet.nodes.iter().any(|node| node.sparks > 0) || state.history.values().any(|samples| !samples.is_flat());
    let same = Snapshot { at: state.fleet.at, ..fleet.clone() } == state.fleet;
    state.dirty |= moves || !same;
    state.fleet = fleet;
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

pub(super) fn on_ran(state: &mut State, number: u32, outcome: Outcome) -> Option<Action> {
    let (went_well, lines, last) = (outcome.went_well(), outcome.text.lines().count(), outcome.last_line().to_owned());
    let entry = state.log.end(number, outcome)?;
    let (line, after) = (entry.line.clone(), entry.after.clone());
    match after.done {
        Some(done) if went_well => acting::offer(state, done, after.undo),
        Some(_) => return acting::say(state, format!("{line}: {last}"), true),
        // Nobody is torn from what they are doing.
        None if lines > 1 && state.mode == Mode::Browse => (state.mode, state.scroll) = (Mode::Reading(number), 0),
        None => return acting::say(state, last, !went_well),
    }
    None
}
