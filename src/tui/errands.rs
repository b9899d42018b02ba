//! Command lines of this program, run beside the dashboard: no shell, no terminal, and what they write is kept up to a limit.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use crossbeam_channel::Sender;

use super::{Happening, clean, log::Outcome};

/// That run at the same time: a person does not start more, a key that is stuck does.
const ERRANDS_MAX: usize = 8;

pub struct Errands {
    program: PathBuf,
    arguments: Vec<OsString>,
    tx: Sender<Happening>,
    running: BTreeMap<u32, Arc<Mutex<Child>>>,
}

impl Errands {
    pub fn new(program: PathBuf, arguments: Vec<OsString>, tx: Sender<Happening>) -> Errands {
        Errands { program, arguments, tx, running: BTreeMap::new() }
    }

    /// Runs a command line; what comes of it arrives as a happening, also when it cannot be begun.
    pub fn begin(&mut self, number: u32, words: &[String]) {
        #[cfg(debug_assertions)]
        assert!(words != ["panic"], "asked to panic, to see what becomes of the terminal");
        if let Err(error) = self.spawn(number, words) {
            let outcome = Outcome { code: None, text: error.to_string() };
            let tx = self.tx.clone();
            // From a thread of its own: the loop must not wait for itself when its inbox is full.
            let _ = super::start("errand", &self.tx, move || drop(tx.send(Happening::Ran { number, outcome })));
        }
    }

    fn spawn(&mut self, number: u32, words: &[String]) -> io::Result<()> {
        if self.running.len() >= ERRANDS_MAX {
            return Err(io::Error::other(format!("{ERRANDS_MAX} commands run already; x in the log ends one")));
        }
        let (output, input) = io::pipe()?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(words).stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
        // Not in the terminal's foreground: what is typed here is for the dashboard.
        let child = Arc::new(Mutex::new(command.process_group(0).spawn()?));
        // Its ends of the pipe; otherwise the output never ends.
        drop(command);
        self.running.insert(number, Arc::clone(&child));
        let tx = self.tx.clone();
        super::start("errand", &self.tx, move || {
            let text = read(output);
            // Whoever writes no more is at its end, or soon.
            let status = child.lock().unwrap_or_else(PoisonError::into_inner).wait();
            let outcome = Outcome { code: status.ok().and_then(|status| status.code()), text };
            // Nobody is told when the dashboard is over.
            let _ = tx.send(Happening::Ran { number, outcome });
        })
    }

    pub fn end(&mut self, number: u32) {
        if let Some(child) = self.running.get(&number) {
            // It may have ended by itself.
            let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
        }
    }

    pub fn forget(&mut self, number: u32) {
        self.running.remove(&number);
    }
}

impl Drop for Errands {
    /// What they asked the master for goes on; they themselves would talk to nobody.
    fn drop(&mut self) {
        let numbers: Vec<u32> = self.running.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.end(number));
    }
}

/// Up to the limit; the rest is read and dropped, so that the writer does not wait for ever.
fn read(mut output: io::PipeReader) -> String {
    let mut bytes = Vec::new();
    // A pipe that breaks is the end of what was said.
    let _ = output.by_ref().take(clean::OUTPUT_BYTES_MAX as u64).read_to_end(&mut bytes);
    let _ = io::copy(&mut output, &mut io::sink());
    clean::output(&bytes)
}
