//! Command lines of this program, run beside the dashboard: no shell, no terminal, and what they write is kept up to a limit.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Happening,
    asked::{Query, Reply},
    clean,
    log::Outcome,
    update::Errand,
};

/// That run at the same time; others wait for their turn.
const ERRANDS_MAX: usize = 8;
/// That wait: a person does not start more, a key that is stuck does.
const WAITING_MAX: usize = 200;
/// What a command writes is told so often.
const SAY_EVERY: Duration = Duration::from_millis(100);
/// Between two times; a command that writes more writes faster than anybody reads.
const UNSAID_BYTES_MAX: usize = 64 << 10;
const READ_BYTES: usize = 8 << 10;
/// What a query may answer: some hundred definitions with their lines.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// Of what it says when it fails; the last line is shown.
const TROUBLE_BYTES_MAX: u64 = 64 << 10;

pub struct Errands {
    program: PathBuf,
    arguments: Vec<OsString>,
    tx: Sender<Happening>,
    running: BTreeMap<u32, Arc<Mutex<Child>>>,
    waiting: VecDeque<Errand>,
}

impl Errands {
    pub fn new(program: PathBuf, arguments: Vec<OsString>, tx: Sender<Happening>) -> Errands {
        Errands { program, arguments, tx, running: BTreeMap::new(), waiting: VecDeque::new() }
    }

    /// Runs a command line, as soon as it is its turn; what comes of it arrives as a happening, also when it cannot be begun.
    pub fn begin(&mut self, errand: Errand) {
        #[cfg(debug_assertions)]
        assert!(errand.words != ["panic"], "asked to panic, to see what becomes of the terminal");
        if self.running.len() < ERRANDS_MAX {
            self.begin_now(&errand);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(errand);
        } else {
            self.fail(errand.number, format!("{WAITING_MAX} commands wait already; x in the log ends one"));
        }
    }

    fn begin_now(&mut self, errand: &Errand) {
        if let Err(error) = self.spawn(errand) {
            self.fail(errand.number, error.to_string());
        }
    }

    fn fail(&self, number: u32, text: String) {
        let (outcome, tx) = (Outcome { code: None, text }, self.tx.clone());
        // From a thread of its own: the loop must not wait for itself when its inbox is full.
        let _ = super::start("errand", &self.tx, move || drop(tx.send(Happening::Ran { number, outcome })));
    }

    fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(words).stdin(Stdio::null());
        // Not in the terminal's foreground: what is typed here is for the dashboard.
        command.process_group(0);
        command
    }

    fn spawn(&mut self, errand: &Errand) -> io::Result<()> {
        let (number, (output, input)) = (errand.number, io::pipe()?);
        let mut command = self.command(&errand.words);
        command.stdout(input.try_clone()?).stderr(input);
        if errand.input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn()?;
        // Its ends of the pipe; otherwise the output never ends.
        drop(command);
        if let (Some(mut stdin), Some(secret)) = (child.stdin.take(), &errand.input) {
            // A few letters fit into any pipe; one that does not read them has failed and says why.
            let _ = stdin.write_all(secret.0.as_bytes());
        }
        let child = Arc::new(Mutex::new(child));
        self.running.insert(number, Arc::clone(&child));
        let tx = self.tx.clone();
        super::start("errand", &self.tx, move || {
            let text = read(output, |text, dropped| drop(tx.send(Happening::Said { number, text, dropped })));
            // Whoever writes no more is at its end, or soon.
            let status = child.lock().unwrap_or_else(PoisonError::into_inner).wait();
            let outcome = Outcome { code: status.ok().and_then(|status| status.code()), text };
            // Nobody is told when the dashboard is over.
            let _ = tx.send(Happening::Ran { number, outcome });
        })
    }

    /// Reads something by a command; the answer arrives as a happening.
    pub fn ask(&self, query: Query) {
        let (mut command, tx) = (self.command(&query.words()), self.tx.clone());
        let asking = move || {
            let reply = answer(&mut command, &query).unwrap_or_else(|error| Reply::Failed(error.to_string())).cleaned();
            // Nobody is told when the dashboard is over.
            let _ = tx.send(Happening::Answered { query, reply });
        };
        // Without a thread there is no answer, and nobody waits for one but this dashboard.
        let _ = super::start("query", &self.tx, asking);
    }

    pub fn end(&mut self, number: u32) {
        if let Some(place) = self.waiting.iter().position(|errand| errand.number == number) {
            self.waiting.remove(place);
            self.fail(number, "it was not begun".into());
        }
        if let Some(child) = self.running.get(&number) {
            // It may have ended by itself.
            let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
        }
    }

    /// One has ended: it is another's turn.
    pub fn forget(&mut self, number: u32) {
        self.running.remove(&number);
        if self.running.len() < ERRANDS_MAX
            && let Some(next) = self.waiting.pop_front()
        {
            self.begin_now(&next);
        }
    }
}

impl Drop for Errands {
    /// What they asked the master for goes on; they themselves would talk to nobody.
    fn drop(&mut self) {
        let numbers: Vec<u32> = self.running.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.end(number));
    }
}

/// What a command answers on stdout counts, whatever its exit code: that nothing was found is an answer.
fn answer(command: &mut Command, query: &Query) -> io::Result<Reply> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut json, mut trouble) = (Vec::new(), Vec::new());
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut json)?;
    }
    if let Some(stderr) = child.stderr.take() {
        stderr.take(TROUBLE_BYTES_MAX).read_to_end(&mut trouble)?;
    }
    child.wait()?;
    Ok(query.parse(&json).unwrap_or_else(|error| {
        let said = clean::output(&trouble);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        Reply::Failed(last.map_or_else(|| format!("the answer cannot be read: {error}"), str::to_owned))
    }))
}

/// What a command has written and nobody was told of yet.
#[derive(Default)]
struct Unsaid {
    bytes: Vec<u8>,
    /// Lines that were too many.
    dropped: u64,
}

impl Unsaid {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > UNSAID_BYTES_MAX {
            let surplus = self.bytes.len() - UNSAID_BYTES_MAX;
            let cut = self.bytes[surplus..].iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |end| surplus + end + 1);
            self.dropped += self.bytes.drain(..cut).filter(|byte| *byte == b'\n').count() as u64;
        }
    }

    fn has_line(&self) -> bool {
        self.bytes.contains(&b'\n')
    }

    /// The lines that are whole.
    fn take(&mut self) -> Option<(String, u64)> {
        let end = self.bytes.iter().rposition(|byte| *byte == b'\n')?;
        let text = clean::output(&self.bytes[..end]);
        self.bytes.drain(..=end);
        Some((text, std::mem::take(&mut self.dropped)))
    }
}

/// Tells what is written while it is written, some times a second. The answer is the whole, up to the limit; the rest is read and dropped, so that
/// the writer does not wait for ever.
fn read(mut output: io::PipeReader, tell: impl Fn(String, u64)) -> String {
    let (mut whole, mut unsaid, mut part, mut said_at) = (Vec::new(), Unsaid::default(), vec![0; READ_BYTES], Instant::now());
    loop {
        let patience = unsaid.has_line().then(|| SAY_EVERY.saturating_sub(said_at.elapsed()));
        let patience = patience.map(|span| Timespec { tv_sec: 0, tv_nsec: i64::from(span.subsec_nanos()) });
        let is_ready = match poll(&mut [PollFd::new(&output, PollFlags::IN)], patience.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            ready => ready.is_ok_and(|ready| ready > 0),
        };
        if is_ready {
            // A pipe that breaks is the end of what was said.
            let Ok(count @ 1..) = output.read(&mut part) else {
                // Its last line may lack an end.
                unsaid.add(b"\n");
                unsaid.take().into_iter().filter(|(text, _)| !text.is_empty()).for_each(|(text, dropped)| tell(text, dropped));
                return clean::output(&whole);
            };
            whole.extend_from_slice(&part[..count.min(clean::OUTPUT_BYTES_MAX - whole.len())]);
            unsaid.add(&part[..count]);
        }
        if said_at.elapsed() >= SAY_EVERY {
            said_at = Instant::now();
            unsaid.take().into_iter().for_each(|(text, dropped)| tell(text, dropped));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_whole_and_those_that_are_too_many_are_counted() {
        let mut unsaid = Unsaid::default();
        unsaid.add(b"one\ntw");
        assert_eq!(unsaid.take(), Some(("one".to_owned(), 0)));
        assert_eq!(unsaid.take(), None);
        unsaid.add(b"o\n");
        assert_eq!(unsaid.take(), Some(("two".to_owned(), 0)));
        (0..100).for_each(|_| unsaid.add(&b"x\n".repeat(1000)));
        let (text, dropped) = unsaid.take().unwrap();
        assert_eq!(text.lines().count() as u64 + dropped, 100_000);
        assert!(text.len() <= UNSAID_BYTES_MAX);
        unsaid.add(&vec![b'y'; UNSAID_BYTES_MAX * 3]);
        assert!(unsaid.bytes.len() <= UNSAID_BYTES_MAX, "a line without an end");
    }
}
