//! Telling dashboards what is new: at once what a person would turn their head for, figures once a second, and nothing where nothing changes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bitacora_core::{
    ids::{Epoch, NodeId},
    time::Time,
};
use crossbeam_channel::Sender;

use super::{Master, view::View};
use crate::{
    control::{
        Answer, JOBS_MAX, JobState, ProjectState, WATCH_MAX,
        history::History,
        watch::{Board, Change, Focus, Focused, News, Watch},
    },
    timeline::TOLD_MAX,
};

/// Dashboards of one person; one more takes the place of the one that has waited longest.
const WATCHERS_MAX: usize = 16;
/// Nobody reads figures faster.
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at the fleet, at least.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A look at a large fleet takes its time; at most this part of the master's is spent on it.
const LOOK_PART: u32 = 20;

/// Those who wait for news, and what was told.
#[derive(Default)]
pub(super) struct Watching {
    board: Board,
    watchers: Vec<Watcher>,
    /// How loaded each node was in the last minute.
    histories: BTreeMap<NodeId, History>,
    /// Something came to pass since the last look.
    is_stirred: bool,
    next_look: Option<Instant>,
}

struct Watcher {
    watch: Watch,
    since: Instant,
    /// Figures are not looked at before this.
    figures_at: Instant,
    answer: Sender<Answer>,
}

impl Watching {
    /// Whoever asked before is not kept waiting for two answers. `last` is the number of the last event.
    pub(super) fn add(&mut self, watch: Watch, answer: Sender<Answer>, last: u64) {
        let has_many = last > watch.event + TOLD_MAX as u64 / 2;
        let earlier = self.watchers.iter().position(|watcher| watcher.watch.watcher == watch.watcher);
        let surplus = earlier.or_else(|| (self.watchers.len() >= WATCHERS_MAX).then_some(0));
        if let Some(place) = surplus {
            // It has gone, or comes back.
            let _ = self.watchers.remove(place).answer.send(Answer::Busy);
        }
        let since = Instant::now();
        // What was never told of the focus is told at once, and a long story in one go.
        let figures_at = if watch.focus_known == 0 || has_many { since } else { since + FIGURES_EVERY };
        self.watchers.push(Watcher { watch, since, figures_at, answer });
        self.is_stirred = true;
    }

    /// Something came to pass that a watcher may want to know.
    pub(super) fn stir(&mut self) {
        self.is_stirred = true;
    }

    /// A node has said how loaded it is.
    pub(super) fn note_load(&mut self, now: Time, id: NodeId, permille: u16) {
        self.histories.entry(id).or_default().push(now.0 / 1_000_000, permille);
    }

    /// Does anybody wait for news?
    pub(super) fn is_watched(&self) -> bool {
        !self.watchers.is_empty()
    }

    /// Answers those for whom there is news. Called once in each turn of the loop.
    pub(super) fn tell(&mut self, view: &View<'_>) {
        let begun = Instant::now();
        if self.is_stirred && self.next_look.is_none_or(|due| due <= begun) {
            self.look(view);
            self.is_stirred = false;
            self.next_look = Some(Instant::now() + LOOK_EVERY.max(begun.elapsed() * LOOK_PART));
        }
        let epoch = view.fleet.epoch();
        for mut watcher in std::mem::take(&mut self.watchers) {
            let known = watcher.watch.known.filter(|mark| mark.epoch == epoch);
            let is_turn = known.is_none_or(|mark| self.board.turn() > mark.change);
            if is_turn || watcher.figures_at <= begun {
                if let Some(news) = self.news_for(&watcher, epoch, view) {
                    // Whoever asked may be gone.
                    let _ = watcher.answer.send(Answer::News(Box::new(news)));
                    continue;
                }
                watcher.figures_at = begun + FIGURES_EVERY;
            }
            self.watchers.push(watcher);
        }
    }

    fn look(&mut self, view: &View<'_>) {
        let board = &mut self.board;
        board.begin();
        view.node_states().for_each(|(id, state)| board.see_node(id, state));
        let ledger = view.fleet.ledger();
        for (id, job) in ledger.jobs.iter().rev().take(JOBS_MAX) {
            if !board.keep_job(*id, job.over_at)
                && let Some(seen) = view.fleet.job_view(view.at, *id)
            {
                board.see_job(JobState::of(&seen, ledger));
            }
        }
        if self.histories.len() > ledger.nodes.len() {
            self.histories.retain(|id, _| ledger.nodes.contains_key(id));
        }
        ledger.projects.iter().for_each(|(id, project)| board.see_project(ProjectState::of(*id, project)));
        board.end();
    }

    /// `None` while there is nothing that is worth an answer.
    fn news_for(&self, watcher: &Watcher, epoch: Epoch, view: &View<'_>) -> Option<News> {
        let watch = &watcher.watch;
        let known = watch.known.filter(|mark| mark.epoch == epoch);
        let focused = Box::new(view.focused(&watch.focus));
        let focus_known = mark(&watch.focus, &focused);
        let news = News {
            at: view.at,
            listens: view.listens(),
            jobs_all: view.fleet.ledger().jobs.len() as u64,
            events: view.timeline.after(if known.is_some() { watch.event } else { 0 }),
            focused: (focus_known != watch.focus_known).then_some(focused),
            focus_known,
            ..self.board.since(epoch, known)
        };
        let news = News { histories: if news.from_nothing { self.histories_of(&news) } else { Vec::new() }, ..news };
        (!news.is_empty() || watcher.since.elapsed() >= WATCH_MAX).then_some(news)
    }
}

impl Watching {
    fn histories_of(&self, news: &News) -> Vec<(NodeId, History)> {
        let told = news.changes.iter().filter_map(|change| if let Change::Node(node) = change { node.id.parse::<NodeId>().ok() } else { None });
        told.filter_map(|id| Some((id, self.histories.get(&id)?.clone()))).collect()
    }
}

impl Master {
    pub(super) fn watch(&mut self, watch: Watch, answer: Sender<Answer>) {
        self.watching.add(watch, answer, self.timeline.last());
    }

    /// Called once in each turn of the loop.
    pub(super) fn tell_watchers(&mut self) {
        if self.watching.is_watched() {
            let mut watching = std::mem::take(&mut self.watching);
            watching.tell(&self.view());
            self.watching = watching;
        }
    }
}

/// Never 0, which is nothing. That a process grows older is no news.
fn mark(focus: &Focus, focused: &Focused) -> u64 {
    let mut timeless = focused.clone();
    if let Some(node) = &mut timeless.node {
        node.load.running = Default::default();
    }
    let bytes = rmp_serde::to_vec(&(focus, timeless)).expect("plain data has a form");
    let hash = blake3::hash(&bytes);
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash is longer");
    u64::from_le_bytes(*first).max(1)
}
