//! What a process says of its work to whoever operates it, on stderr: lines to be read, or one JSON object each.
//!
//! What is about a job, a spark or an attempt has them as fields of their own. How much is said can be changed while the process
//! runs: SIGUSR1 says more, SIGUSR2 less, and a master may push it to its nodes.
//!
//! Nobody who works waits for whoever reads: events go through a queue with an end, to a thread that writes. What finds no room is
//! counted and said.

use std::{
    fmt,
    io::{self, Write},
    str::FromStr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};

use serde::{Deserialize, Serialize};
use signal_hook::{
    consts::{SIGUSR1, SIGUSR2},
    iterator::Signals,
};
use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, Targets},
    fmt::{MakeWriter, layer},
    layer::{Layer, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

/// Everything that says something of this program's own work; its libraries' words help nobody who operates it.
const OWN: [&str; 2] = ["bitacora", "fleet_agent"];

static HANDLE: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();
static IS_JSON: AtomicBool = AtomicBool::new(false);
static NOW: AtomicU8 = AtomicU8::new(Verbosity::Info as u8);
/// Lines that wait to be written.
const QUEUE_MAX: usize = 1024;
/// For them at the end of the process.
const FLUSH_MAX: Duration = Duration::from_secs(1);
/// What people are told, however little is said of the work.
const TOLD: &str = "fleet_agent::told";

/// How much is said: what is worse always too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verbosity {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl Verbosity {
    pub const ALL: [Verbosity; 6] = [Verbosity::Off, Verbosity::Error, Verbosity::Warn, Verbosity::Info, Verbosity::Debug, Verbosity::Trace];

    pub const fn name(self) -> &'static str {
        match self {
            Verbosity::Off => "off",
            Verbosity::Error => "error",
            Verbosity::Warn => "warn",
            Verbosity::Info => "info",
            Verbosity::Debug => "debug",
            Verbosity::Trace => "trace",
        }
    }

    const fn filter(self) -> LevelFilter {
        match self {
            Verbosity::Off => LevelFilter::OFF,
            Verbosity::Error => LevelFilter::ERROR,
            Verbosity::Warn => LevelFilter::WARN,
            Verbosity::Info => LevelFilter::INFO,
            Verbosity::Debug => LevelFilter::DEBUG,
            Verbosity::Trace => LevelFilter::TRACE,
        }
    }

    fn targets(self) -> Targets {
        OWN.into_iter().fold(Targets::new(), |targets, own| targets.with_target(own, self.filter())).with_target(TOLD, LevelFilter::INFO)
    }

    fn stepped(self, step: isize) -> Verbosity {
        let at = (self as isize + step).clamp(0, Verbosity::ALL.len() as isize - 1);
        Verbosity::ALL[at as usize]
    }
}

impl FromStr for Verbosity {
    type Err = String;

    fn from_str(text: &str) -> Result<Verbosity, String> {
        let named = Verbosity::ALL.into_iter().find(|verbosity| verbosity.name() == text);
        named.ok_or_else(|| format!("{text:?} is none of {}", Verbosity::ALL.map(Verbosity::name).join(", ")))
    }
}

impl fmt::Display for Verbosity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How this process speaks, for a child that is to speak likewise; `None` where it says nothing.
pub fn manner() -> Option<(Verbosity, bool)> {
    HANDLE.get().map(|_| (Verbosity::ALL[usize::from(NOW.load(Ordering::Relaxed))], IS_JSON.load(Ordering::Relaxed)))
}

/// From now on this is said. To be called once; a process that does not call it says nothing.
pub fn start(verbosity: Verbosity, as_json: bool) {
    let (filter, handle) = reload::Layer::new(verbosity.targets());
    let queue = Queue::start();
    let begun = match as_json {
        true => tracing_subscriber::registry().with(layer().json().flatten_event(true).with_writer(queue).with_filter(filter)).try_init(),
        false => tracing_subscriber::registry().with(layer().with_ansi(false).with_writer(queue).with_filter(filter)).try_init(),
    };
    if begun.is_ok() && HANDLE.set(handle).is_ok() {
        IS_JSON.store(as_json, Ordering::Relaxed);
        NOW.store(verbosity as u8, Ordering::Relaxed);
    }
}

/// Says more at SIGUSR1 and less at SIGUSR2, from now on. To be called before anything takes long: both would end the process.
pub fn follow_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGUSR1, SIGUSR2])?;
    let follow = move || signals.forever().for_each(|signal| step(if signal == SIGUSR1 { 1 } else { -1 }));
    thread::Builder::new().name("verbosity".into()).spawn(follow).map(drop)
}

/// Takes note of neither, and is not ended by them: of a child, when all processes of a service are told.
pub fn ignore_signals() -> io::Result<()> {
    for signal in [SIGUSR1, SIGUSR2] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Waits until what was said is written, within a limit: the process is about to end.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        let (written, wait) = bounded(1);
        if queue.lines.send_timeout(Line::Mark(written), FLUSH_MAX).is_ok() {
            let _ = wait.recv_timeout(FLUSH_MAX);
        }
    }
}

/// The way to the thread that writes.
#[derive(Clone)]
struct Queue {
    lines: Sender<Line>,
}

enum Line {
    Text(Vec<u8>),
    /// What came before it is written.
    Mark(Sender<()>),
}

static QUEUE: OnceLock<Queue> = OnceLock::new();
/// Lines that found no room.
static DROPPED: AtomicU64 = AtomicU64::new(0);

impl Queue {
    fn start() -> Queue {
        let (lines, queued) = bounded(QUEUE_MAX);
        let queue = QUEUE.get_or_init(|| Queue { lines }).clone();
        // Without the thread everything is dropped, and counted; there is nobody to tell.
        let _ = thread::Builder::new().name("log".into()).spawn(move || write_lines(&queued));
        queue
    }
}

fn write_lines(queued: &Receiver<Line>) {
    for line in queued {
        match line {
            // Nobody listening is no trouble.
            Line::Text(text) => drop(io::stderr().lock().write_all(&text)),
            Line::Mark(written) => drop(written.try_send(())),
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "more was said than could be written");
        }
    }
}

impl<'w> MakeWriter<'w> for Queue {
    type Writer = Queue;

    fn make_writer(&'w self) -> Queue {
        self.clone()
    }
}

impl Write for Queue {
    /// An event is written as a whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Line::Text(line.to_vec())).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does this process say everything as events?
pub fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Says so much from now on.
pub fn set(verbosity: Verbosity) {
    if let Some(handle) = HANDLE.get()
        && NOW.swap(verbosity as u8, Ordering::Relaxed) != verbosity as u8
        && handle.modify(|targets| *targets = verbosity.targets()).is_ok()
    {
        tracing::info!(%verbosity, "how much is said has changed");
    }
}

/// One step more, or less.
fn step(step: isize) {
    set(Verbosity::ALL[usize::from(NOW.load(Ordering::Relaxed))].stepped(step));
}

/// A word to people that is said however little else is: as a line, or as an event where everything is one.
pub fn tell(text: &str) {
    if is_json() {
        tracing::info!(target: TOLD, "{text}");
    } else {
        // Nobody listening is no trouble.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_is_said_is_a_ladder() {
        for verbosity in Verbosity::ALL {
            assert_eq!(verbosity.to_string().parse(), Ok(verbosity));
            assert_eq!(Verbosity::ALL[verbosity as usize], verbosity);
        }
        assert_eq!((Verbosity::Trace.stepped(1), Verbosity::Off.stepped(-1), Verbosity::Info.stepped(1)), (Verbosity::Trace, Verbosity::Off, Verbosity::Debug));
        assert!("loud".parse::<Verbosity>().is_err_and(|error| error.contains("debug")));
    }
}
