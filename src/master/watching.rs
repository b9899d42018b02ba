//! Telling dashboards what is new: at once what a person would turn their head for, figures once a second, and nothing where nothing changes.

use std::time::{Duration, Instant};

use bitacora_core::{
    fleet::{FlightView, Spark, SparkState},
    ids::{Epoch, JobId, SparkId},
};
use crossbeam_channel::Sender;

use super::{Master, now};
use crate::{
    control::{
        self, Answer, JOBS_MAX, JobState, ProjectState, WATCH_MAX,
        watch::{Board, Focused, JobDetail, Nearby, News, SPARKS_TOLD_MAX, SparkRow, Watch},
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

impl Master {
    /// Whoever asked before is not kept waiting for two answers.
    pub(super) fn watch(&mut self, watch: Watch, answer: Sender<Answer>) {
        let has_many = self.timeline.last() > watch.event + TOLD_MAX as u64 / 2;
        let watching = &mut self.watching;
        let earlier = watching.watchers.iter().position(|watcher| watcher.watch.watcher == watch.watcher);
        let surplus = earlier.or_else(|| (watching.watchers.len() >= WATCHERS_MAX).then_some(0));
        if let Some(place) = surplus {
            // It has gone, or comes back.
            let _ = watching.watchers.remove(place).answer.send(Answer::Busy);
        }
        let since = Instant::now();
        // What was never told of the focus is told at once, and a long story in one go.
        let figures_at = if watch.focus_known == 0 || has_many { since } else { since + FIGURES_EVERY };
        watching.watchers.push(Watcher { watch, since, figures_at, answer });
        watching.is_stirred = true;
    }

    /// Something came to pass that a watcher may want to know.
    pub(super) fn stir(&mut self) {
        self.watching.is_stirred = true;
    }

    /// Does anybody wait for news?
    pub(super) fn is_watched(&self) -> bool {
        !self.watching.watchers.is_empty()
    }

    /// Answers those for whom there is news. Called once in each turn of the loop.
    pub(super) fn tell_watchers(&mut self) {
        if self.watching.watchers.is_empty() {
            return;
        }
        let begun = Instant::now();
        if self.watching.is_stirred && self.watching.next_look.is_none_or(|due| due <= begun) {
            self.look();
            self.watching.is_stirred = false;
            self.watching.next_look = Some(Instant::now() + LOOK_EVERY.max(begun.elapsed() * LOOK_PART));
        }
        let epoch = self.fleet.epoch();
        let waiting = std::mem::take(&mut self.watching.watchers);
        for mut watcher in waiting {
            let known = watcher.watch.known.filter(|mark| mark.epoch == epoch);
            let is_turn = known.is_none_or(|mark| self.watching.board.turn() > mark.change);
            if is_turn || watcher.figures_at <= begun {
                if let Some(news) = self.news_for(&watcher, epoch) {
                    // Whoever asked may be gone.
                    let _ = watcher.answer.send(Answer::News(Box::new(news)));
                    continue;
                }
                watcher.figures_at = begun + FIGURES_EVERY;
            }
            self.watching.watchers.push(watcher);
        }
    }

    fn look(&mut self) {
        let at = now();
        let mut board = std::mem::take(&mut self.watching.board);
        board.begin();
        self.node_states().for_each(|(id, state)| board.see_node(id, state));
        let ledger = self.ledger();
        for (id, job) in ledger.jobs.iter().rev().take(JOBS_MAX) {
            if !board.keep_job(*id, job.over_at)
                && let Some(view) = self.fleet.job_view(at, *id)
            {
                board.see_job(JobState::of(&view, job.spec.project.and_then(|project| ledger.projects.get(&project))));
            }
        }
        ledger.projects.iter().for_each(|(id, project)| board.see_project(ProjectState::of(*id, project)));
        board.end();
        self.watching.board = board;
    }

    /// `None` while there is nothing that is worth an answer.
    fn news_for(&self, watcher: &Watcher, epoch: Epoch) -> Option<News> {
        let watch = &watcher.watch;
        let known = watch.known.filter(|mark| mark.epoch == epoch);
        let (focused, focus_known) = self.focused(watch);
        let news = News {
            at: now(),
            listens: self.serving.as_ref().map(|serving| serving.links.address().to_string()),
            jobs_all: self.ledger().jobs.len() as u64,
            events: self.timeline.after(if known.is_some() { watch.event } else { 0 }),
            focused: (focus_known != watch.focus_known).then_some(focused),
            focus_known,
            ..self.watching.board.since(epoch, known)
        };
        (!news.is_empty() || watcher.since.elapsed() >= WATCH_MAX).then_some(news)
    }

    /// What was asked for besides the lists, and by what it is known again.
    fn focused(&self, watch: &Watch) -> (Box<Focused>, u64) {
        let focus = watch.focus;
        let node = focus.node.and_then(|node| match self.node_detail(node) {
            Answer::Node(detail) => Some(detail),
            _ => None,
        });
        let nearby = focus.nearby.then(|| match self.discovered() {
            Answer::Discovered(seen) => Nearby::Seen(seen),
            Answer::Refused(reason) => Nearby::Unknown(reason),
            _ => Nearby::Unknown("the master cannot say".into()),
        });
        let focused = Focused { node, job: focus.job.and_then(|job| self.job_detail(job)).map(Box::new), nearby };
        let known = mark(&focus, &focused);
        (Box::new(focused), known)
    }

    fn job_detail(&self, id: JobId) -> Option<JobDetail> {
        let job = self.ledger().jobs.get(&id)?;
        let mut counts: Vec<(String, u32)> = Vec::new();
        let mut places: Vec<(u8, u32)> = Vec::new();
        for (number, spark) in (0..).zip(&job.sparks) {
            let Some(status) = spark.status() else { continue };
            match counts.iter_mut().find(|(known, _)| known == status) {
                Some((_, count)) => *count += 1,
                None => counts.push((status.to_owned(), 1)),
            }
            places.push((rank(spark), number));
        }
        places.sort_unstable();
        let flights: std::collections::BTreeMap<u32, FlightView> = self.fleet.flights_of(id).map(|(spark, flight)| (spark.number, flight)).collect();
        let command = job.spec.command.as_ref().map(|command| command.line.program.clone()).unwrap_or_default();
        let row = |(_, number): (u8, u32)| self.spark_row(SparkId { job: id, number }, &job.sparks[number as usize], flights.get(&number), &command);
        let sparks = places.into_iter().take(SPARKS_TOLD_MAX).map(row).collect();
        Some(JobDetail { id, reasons: self.fleet.explain(id).iter().map(control::describe).collect(), counts, sparks })
    }

    fn spark_row(&self, id: SparkId, spark: &Spark, flight: Option<&FlightView>, command: &str) -> SparkRow {
        let files = spark.file_count();
        let node = flight.map(|flight| self.ledger().nodes.get(&flight.node).map_or_else(|| "this machine".to_owned(), |node| node.name.clone()));
        SparkRow {
            id,
            status: spark.status().unwrap_or_default().to_owned(),
            node,
            since: flight.map(|flight| flight.begun_at),
            files,
            files_done: if spark.state.has_outcomes() { files } else { flight.map_or(0, |flight| flight.files) },
            bytes_done: flight.map_or(0, |flight| flight.bytes),
            attempts: spark.attempts,
            failures: spark.failures,
            what: match &spark.state {
                SparkState::Failed(error) => error.describe(),
                _ => command.to_owned(),
            },
        }
    }
}

/// What runs, what failed, what waits, what is done.
fn rank(spark: &Spark) -> u8 {
    match &spark.state {
        SparkState::Running { .. } => 0,
        SparkState::Failed(_) | SparkState::Quarantined => 1,
        SparkState::Queued { .. } => 2,
        SparkState::Completed | SparkState::Split => 3,
    }
}

/// Never 0, which is nothing. That a process grows older is no news.
fn mark(focus: &control::watch::Focus, focused: &Focused) -> u64 {
    let mut timeless = focused.clone();
    if let Some(node) = &mut timeless.node {
        node.load.running = Default::default();
    }
    let bytes = rmp_serde::to_vec(&(focus, timeless)).expect("plain data has a form");
    let hash = blake3::hash(&bytes);
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash is longer");
    u64::from_le_bytes(*first).max(1)
}
