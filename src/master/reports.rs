//! Reports for those who have no disk of the master's. Each is made by a process of this program, which reads what lies on the
//! disk as any command does; what it writes waits in its pipes until whoever wanted it asks for the next part.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind, Read},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use bitacora_core::fleet::Requester;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::Master;
use crate::{
    control::{
        Answer, LOG_BYTES_MAX,
        report::{ReportPart, ReportWish},
    },
    exit::Exit,
};

/// At the same time, for all who ask and for one of them.
const REPORTS_MAX: usize = 8;
const REPORTS_EACH_MAX: usize = 4;
/// One that nobody asks for any more is ended.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// The reports that are being made.
pub(super) struct Reports {
    /// Of this very program: its file may be replaced while it runs.
    program: io::Result<PathBuf>,
    running: BTreeMap<u64, Running>,
    last: u64,
}

struct Running {
    by: Requester,
    child: Child,
    written: Option<ChildStdout>,
    said: Option<ChildStderr>,
    asked_at: Instant,
    /// The number of the latest part, and what it was: an answer may get lost on its way.
    part: u64,
    latest: ReportPart,
}

impl Reports {
    pub(super) fn new() -> Reports {
        Reports { program: std::env::current_exe(), running: BTreeMap::new(), last: 0 }
    }

    fn begin(&mut self, by: Requester, data: &Path, wish: &ReportWish) -> io::Result<Answer> {
        let open = || self.running.values().filter(|running| running.latest.exit.is_none());
        if open().count() >= REPORTS_MAX || open().filter(|running| running.by == by).count() >= REPORTS_EACH_MAX {
            return Ok(Answer::Busy);
        }
        let program = self.program.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(fs::canonicalize(data)?).args(wish.arguments());
        let mut child = command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (written, said) = (child.stdout.take(), child.stderr.take());
        let running = Running { by, child, written, said, asked_at: Instant::now(), part: 0, latest: ReportPart::default() };
        running.written.as_ref().map_or(Ok(()), prepare)?;
        running.said.as_ref().map_or(Ok(()), prepare)?;
        self.last += 1;
        self.running.insert(self.last, running);
        Ok(Answer::Reporting { report: self.last })
    }

    /// What was written since the part before this one; nothing where it is not this person's.
    fn part(&mut self, by: Requester, report: u64, part: u64) -> io::Result<Option<ReportPart>> {
        let Some(running) = self.running.get_mut(&report).filter(|running| running.by == by) else { return Ok(None) };
        running.asked_at = Instant::now();
        if part == running.part + 1 && running.latest.exit.is_none() {
            running.latest = ReportPart { bytes: take(&mut running.written)?, said: take(&mut running.said)?, exit: running.exit()? };
            running.part = part;
        }
        Ok((part == running.part).then(|| running.latest.clone()))
    }

    fn end(&mut self, by: Requester, report: u64) {
        self.running.retain(|number, running| *number != report || running.by != by);
    }

    /// Ends what nobody asks for.
    fn tend(&mut self) {
        self.running.retain(|_, running| running.asked_at.elapsed() < ABANDONED_AFTER);
    }
}

impl Running {
    /// Once it has ended and everything was taken.
    fn exit(&mut self) -> io::Result<Option<i32>> {
        if self.written.is_some() || self.said.is_some() {
            return Ok(None);
        }
        Ok(self.child.try_wait()?.map(|status| status.code().unwrap_or(Exit::Failure as i32)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The loop waits for nobody's pipe.
fn prepare(pipe: &impl AsFd) -> io::Result<()> {
    fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
    // Where it has no more room, a report takes more parts.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, LOG_BYTES_MAX);
    Ok(())
}

/// What a pipe holds now; at its end it is closed.
fn take<Pipe: Read>(pipe: &mut Option<Pipe>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(open) = pipe else { return Ok(bytes) };
    match open.take(LOG_BYTES_MAX as u64).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() < LOG_BYTES_MAX => *pipe = None,
        Ok(_) => {}
        // What was read before is there.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(bytes)
}

impl Master {
    pub(super) fn report(&mut self, by: Requester, wish: &ReportWish) -> Answer {
        let root = self.data.root().to_owned();
        let Some(serving) = &mut self.serving else { return Answer::Busy };
        let begun = serving.reports.begin(by, &root, wish);
        begun.unwrap_or_else(|error| Answer::Refused(format!("the report cannot be made: {error}")))
    }

    /// Called once in each turn of the loop.
    pub(super) fn tend_reports(&mut self) {
        if let Some(serving) = &mut self.serving {
            serving.reports.tend();
        }
    }

    pub(super) fn end_report(&mut self, by: Requester, report: u64) -> Answer {
        if let Some(serving) = &mut self.serving {
            serving.reports.end(by, report);
        }
        Answer::Done
    }

    pub(super) fn report_part(&mut self, by: Requester, report: u64, part: u64) -> Answer {
        let Some(serving) = &mut self.serving else { return Answer::Busy };
        match serving.reports.part(by, report, part) {
            Ok(Some(part)) => Answer::Part(part),
            Ok(None) => Answer::Unknown("the report is not made any more; ask for it again".into()),
            Err(error) => Answer::Refused(format!("the report cannot be read: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_taken_as_it_fills_and_to_its_end() {
        let mut child = Command::new("sh").args(["-c", "echo first; read line; echo second"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdout.take();
        prepare(pipe.as_ref().unwrap()).unwrap();
        let until = |pipe: &mut Option<ChildStdout>, wanted: &[u8]| {
            let (mut got, begun) = (Vec::new(), Instant::now());
            while got.len() < wanted.len() {
                got.extend(take(pipe).unwrap());
                assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
            }
            assert_eq!(got, wanted);
        };
        until(&mut pipe, b"first\n");
        assert_eq!(take(&mut pipe).unwrap(), b"", "nothing is there, and nobody waits");
        assert!(pipe.is_some());
        drop(child.stdin.take());
        until(&mut pipe, b"second\n");
        child.wait().unwrap();
        while pipe.is_some() {
            assert_eq!(take(&mut pipe).unwrap(), b"");
        }
    }

    #[test]
    fn a_part_that_got_lost_is_told_again_and_one_person_s_report_is_nobody_else_s() {
        let mut child = Command::new("sh").args(["-c", "echo all"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (written, said) = (child.stdout.take(), child.stderr.take());
        child.wait().unwrap();
        let (by, other) = (Requester::User(1), Requester::User(2));
        let running = Running { by, child, written, said, asked_at: Instant::now(), part: 0, latest: ReportPart::default() };
        let mut reports = Reports { running: [(7, running)].into(), ..Reports::new() };
        assert_eq!(reports.part(other, 7, 1).unwrap(), None);
        let first = reports.part(by, 7, 1).unwrap().unwrap();
        assert_eq!((first.bytes.as_slice(), first.exit), (&b"all\n"[..], Some(0)));
        assert_eq!(reports.part(by, 7, 1).unwrap(), Some(first));
        assert_eq!((reports.part(by, 7, 0).unwrap(), reports.part(by, 7, 2).unwrap()), (None, None));
        reports.end(other, 7);
        assert_eq!(reports.running.len(), 1);
        reports.end(by, 7);
        assert!(reports.running.is_empty());
    }
}
