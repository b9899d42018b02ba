//! How far a job is, for a person who waits for it.

use bitacora_core::ids::JobId;
use indicatif::{ProgressBar, ProgressStyle};

use super::Context;
use crate::{
    cli::waits::{LOOK_EVERY, Waits},
    control::{Answer, Progress, Request},
    report::text,
};

/// How the looking at a job ended that a master does.
pub(super) enum Followed {
    Over,
    /// The master is gone, or cannot be asked any more.
    Lost,
}

/// Shows how far a job is that a master does, until it is over.
pub(super) fn follow(context: &Context, job: JobId) -> Followed {
    let bar = bar(context);
    let mut waits = Waits::new(job);
    loop {
        waits.look(context);
        match context.ask(&Request::Progress { job }) {
            Ok(Some(Answer::Progress(progress))) if progress.over => break,
            Ok(Some(Answer::Progress(progress))) => show(&bar, &progress),
            Ok(Some(Answer::Busy)) => {}
            Ok(_) | Err(_) => return Followed::Lost,
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bar.finish_and_clear();
    Followed::Over
}

pub(in crate::cli) fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_length(progress.bytes);
    bar.set_position(progress.bytes_done);
    // Whoever has read everything has the result to store, for which there is no rate.
    let eta = progress.seconds_to_go.filter(|_| progress.bytes_done < progress.bytes);
    let eta = eta.map_or_else(String::new, |eta| format!(", {} to go", text::whole_seconds(eta)));
    let (done, all) = (text::grouped(progress.files_done), text::counted(progress.files, "file"));
    bar.set_message(format!("{} {done} of {all}, {}/s{eta}", progress.stage, text::bytes(progress.bytes_per_second)));
}

pub(in crate::cli) fn bar(context: &Context) -> ProgressBar {
    if !context.streams.stderr_is_terminal {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{percent:>3} % {wide_msg}").expect("the template is fixed"));
    bar
}
