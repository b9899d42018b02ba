//! Asks the master how the fleet is, once a second, and at once when there is reason to. Holds nothing: what it hears goes to the loop.

use std::{io, path::PathBuf, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::{
    Happening, clean,
    state::Focus,
    update::{Heard, Report},
};
use crate::control::{self, Answer, Request};

/// Load does not change faster than a person reads.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Words to the thread that wait; one more is not missed, the next look comes by itself.
const BELL_MAX: usize = 4;

pub struct Feed {
    bell: Sender<Focus>,
    focus: Focus,
}

impl Feed {
    pub fn start(control: PathBuf, tx: &Sender<Happening>) -> io::Result<Feed> {
        let (bell, rung) = crossbeam_channel::bounded(BELL_MAX);
        let happenings = tx.clone();
        super::start("feed", tx, move || run(&control, &rung, &happenings))?;
        Ok(Feed { bell, focus: Focus::default() })
    }

    /// What is wanted besides the lists. Where it is something else than before, it is looked at at once.
    pub fn look_at(&mut self, focus: Focus) {
        if focus != self.focus && self.bell.try_send(focus).is_ok() {
            self.focus = focus;
        }
    }

    /// Looks at once.
    pub fn ring(&self) {
        // One that is full rings already.
        let _ = self.bell.try_send(self.focus);
    }
}

fn run(control: &std::path::Path, rung: &Receiver<Focus>, tx: &Sender<Happening>) {
    let mut focus = Focus::default();
    loop {
        if tx.send(Happening::Heard(Box::new(look(control, focus)))).is_err() {
            return;
        }
        match rung.recv_timeout(LOOK_EVERY) {
            Ok(wanted) => focus = rung.try_iter().last().unwrap_or(wanted),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn look(control: &std::path::Path, focus: Focus) -> Report {
    let ask = |request: &Request| control::ask(control, request);
    let fleet = match ask(&Request::Snapshot) {
        Ok(None) => Heard::NoMaster,
        Ok(Some(Answer::Snapshot(fleet))) => Heard::Snapshot(Box::new(clean::snapshot(*fleet))),
        Ok(Some(Answer::Busy)) => Heard::Failed("the master is busy".into()),
        Ok(Some(_)) => Heard::Failed("the master answers something else; is it of another version?".into()),
        Err(error) => Heard::Failed(error.to_string()),
    };
    if !matches!(fleet, Heard::Snapshot(_)) {
        return Report { fleet, node: None, reasons: None };
    }
    let node = focus.node.and_then(|node| match ask(&Request::NodeDetail { node }) {
        Ok(Some(Answer::Node(detail))) => Some(Box::new(clean::detail(*detail))),
        // The list says as much as there is to know.
        _ => None,
    });
    let reasons = focus.job.and_then(|job| match ask(&Request::Explain { job }) {
        Ok(Some(Answer::Reasons(reasons))) => Some((job, clean::reasons(reasons))),
        _ => None,
    });
    Report { fleet, node, reasons }
}
