//! One command of a script: this very program in a process of its own, without a shell and without a terminal. What it writes is kept, and so cannot
//! get between the lines that tell of it.

use std::{
    ffi::OsString,
    io::{self, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use crossbeam_channel::{Receiver, select};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// Of what a command writes; more is read and dropped.
const STREAM_BYTES_MAX: u64 = 16 << 20;
/// That nobody has looked at yet; more of them say nothing new.
const SIGNALS_MAX: usize = 16;

/// Runs commands, one after the other.
pub(super) struct Runner {
    program: PathBuf,
    signals: Receiver<i32>,
}

/// What became of a command.
pub(super) struct Ended {
    /// As a shell would say it: 128 and the signal's number for one that was ended by it.
    pub(super) exit: i32,
    pub(super) output: Captured,
    pub(super) messages: Captured,
    /// The signal that this process was sent meanwhile.
    pub(super) told: Option<i32>,
}

/// What a command wrote.
pub(super) struct Captured {
    pub(super) bytes: Vec<u8>,
    pub(super) is_cut: bool,
}

impl Runner {
    /// From here on signals are for the command that runs, and for the script after it.
    pub(super) fn new() -> io::Result<Runner> {
        let program = std::env::current_exe()?;
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let (tx, rx) = crossbeam_channel::bounded(SIGNALS_MAX);
        // Ends with the process.
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                // Full: enough of them wait to be heard.
                let _ = tx.try_send(signal);
            }
        })?;
        Ok(Runner { program, signals: rx })
    }

    /// A signal that came while no command ran.
    pub(super) fn told(&self) -> Option<i32> {
        self.signals.try_recv().ok()
    }

    pub(super) fn run(&self, arguments: &[OsString]) -> io::Result<Ended> {
        let mut command = Command::new(&self.program);
        // A group of its own: what a terminal sends to everybody reaches it once, from here.
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let (output, messages) = (child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            let (tx, written) = crossbeam_channel::bounded::<()>(0);
            let of_messages = tx.clone();
            let output = scope.spawn(move || (capture(output), drop(tx)).0);
            let messages = scope.spawn(move || (capture(messages), drop(of_messages)).0);
            let mut told = None;
            loop {
                select! {
                    recv(self.signals) -> signal => {
                        told = told.or(signal.ok());
                        forward(&child, signal.unwrap_or(SIGTERM));
                    }
                    recv(written) -> _ => break,
                }
            }
            let exit = shell_code(child.wait()?);
            let of = |captured: thread::ScopedJoinHandle<'_, io::Result<Captured>>| captured.join().expect("reading does not panic");
            Ok(Ended { exit, output: of(output)?, messages: of(messages)?, told })
        })
    }
}

fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// The child was not waited for yet: the number is its own.
fn forward(child: &Child, signal: i32) {
    if let (Some(group), Some(signal)) = (Pid::from_raw(child.id() as i32), Signal::from_named_raw(signal)) {
        // It may have ended by itself.
        let _ = kill_process_group(group, signal);
    }
}

fn capture(stream: Option<impl Read>) -> io::Result<Captured> {
    let Some(mut stream) = stream else { return Ok(Captured { bytes: Vec::new(), is_cut: false }) };
    let mut bytes = Vec::new();
    stream.by_ref().take(STREAM_BYTES_MAX).read_to_end(&mut bytes)?;
    // Read all the same, so that the writer does not wait for ever.
    let dropped = io::copy(&mut stream, &mut io::sink())?;
    Ok(Captured { bytes, is_cut: dropped > 0 })
}
