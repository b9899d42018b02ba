//! The dashboard: a person at a terminal, and the master that serves the data directory.
//!
//! Something happens (a key, a report, the end of a command), [`keymap`] says what it means, [`update`] changes the [`state`] and may ask for an
//! action, [`screens`] draw. Those four are pure; this file is the loop around them, and decides nothing. It is driven by what happens: where nothing
//! does, nothing is drawn. What changes the fleet is a command line of this very program, run beside the dashboard: see [`actions`].

pub mod actions;
pub mod asked;
mod clean;
pub mod editor;
mod errands;
mod feed;
pub mod filter;
pub mod guard;
pub mod input;
pub mod keymap;
pub mod layout;
pub mod list;
pub mod log;
mod memory;
pub mod palette;
pub mod screens;
pub mod state;
pub mod subject;
pub mod suggest;
mod terminal;
pub mod theme;
pub mod update;
pub mod widgets;
pub mod words;

#[cfg(test)]
mod samples;

use std::{
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use fleet_agent::clock;

use self::{
    asked::{Query, Reply},
    errands::Errands,
    feed::Feed,
    input::Typed,
    keymap::Key,
    memory::Memory,
    state::{Feed as Hearing, Options, State},
    terminal::{Happened, Screen},
    theme::{Palette, Theme},
    update::{Action, Cmd, Heard},
};

/// What happens waits here while a frame is drawn; whoever brings more waits with it.
const INBOX_MAX: usize = 1024;
/// Between two frames: a storm of keys or sizes is drawn as a few, and a key is still answered at once.
const FRAME_EVERY: Duration = Duration::from_micros(state::REFRESH_LEAST.0);

/// What the dashboard is given.
pub struct Setting {
    /// The socket of the master.
    pub control: PathBuf,
    /// This program, and the arguments that lead it to the same data.
    pub program: PathBuf,
    pub arguments: Vec<std::ffi::OsString>,
    pub theme: Theme,
    /// The theme is a guess: the terminal is asked whether it is light or dark.
    pub asks_background: bool,
    pub options: Options,
    /// Where what is shown is kept for the next one, of a master that may be out of reach.
    pub memory: Option<PathBuf>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The person left.
    Quit,
    /// For the dashboard of another fleet; `None` for this machine's own.
    Attach(Option<String>),
    /// By a signal of this number.
    Signalled(i32),
    /// The terminal is gone.
    Alone,
}

#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
    #[error("cannot start a thread of the dashboard")]
    Thread(#[source] io::Error),
    #[error("a thread of the dashboard has died")]
    Broken,
}

/// Everything that reaches the loop.
enum Happening {
    Terminal(Happened),
    Heard(Heard),
    Ran {
        number: u32,
        outcome: log::Outcome,
    },
    Said {
        number: u32,
        text: String,
        dropped: u64,
    },
    Answered {
        query: Query,
        reply: Reply,
    },
    /// A thread panicked.
    Broken,
}

/// Says that a thread panicked, by being dropped there.
struct Watch(Sender<Happening>);

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() {
            // Nobody listens when the loop ended first.
            let _ = self.0.send(Happening::Broken);
        }
    }
}

/// Starts a thread whose panic ends the dashboard.
fn start(name: &str, tx: &Sender<Happening>, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let watch = Watch(tx.clone());
    let body = move || {
        let _watch = watch;
        run();
    };
    thread::Builder::new().name(name.into()).spawn(body).map(drop)
}

/// Shows the dashboard until the person leaves it. The terminal is afterwards as it was before, whatever happens.
pub fn run(setting: Setting) -> Result<Ended, TuiError> {
    let (tx, rx) = crossbeam_channel::bounded(INBOX_MAX);
    let screen = Screen::open(setting.asks_background).map_err(TuiError::Terminal)?;
    let mut state = State { options: setting.options, ..State::new(screen.size().map_err(TuiError::Terminal)?, clock::now()) };
    let memory = setting.memory.map(Memory::new);
    if let Some((at, fleet)) = memory.as_ref().and_then(Memory::recall) {
        state.recall(at, fleet);
    }
    terminal::listen(&tx).map_err(TuiError::Thread)?;
    let feed = Feed::start(setting.control, &tx).map_err(TuiError::Thread)?;
    let errands = Errands::new(setting.program, setting.arguments, tx.clone());
    let Setting { theme, asks_background, .. } = setting;
    let now = Instant::now();
    let dashboard = Dashboard { screen, state, feed, errands, theme, asks_background, next_frame: now, next_unasked: now, asked: true, memory };
    match dashboard.run(&rx) {
        Err(TuiError::Terminal(error)) if is_gone(&error) => Ok(Ended::Alone),
        ended => ended,
    }
}

/// Is there no terminal any more? A write may find that out before whoever waits for keys.
fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) || error.kind() == io::ErrorKind::BrokenPipe
}

struct Dashboard {
    screen: Screen,
    state: State,
    feed: Feed,
    errands: Errands,
    theme: Theme,
    asks_background: bool,
    /// The earliest moment of the next frame: of one that the person asked for, and of any.
    next_frame: Instant,
    next_unasked: Instant,
    /// The person did something since the last frame, or has seen nothing yet.
    asked: bool,
    memory: Option<Memory>,
}

impl Dashboard {
    fn run(mut self, rx: &Receiver<Happening>) -> Result<Ended, TuiError> {
        let ended = self.go(rx);
        self.remember(|_| true);
        ended
    }

    /// What is live is worth it.
    fn remember(&mut self, is_due: impl Fn(&Memory) -> bool) {
        if let Some(memory) = self.memory.as_mut().filter(|memory| self.state.feed == Hearing::Live && is_due(memory)) {
            memory.keep(self.state.now, &self.state.fleet);
        }
    }

    fn go(&mut self, rx: &Receiver<Happening>) -> Result<Ended, TuiError> {
        loop {
            if self.state.dirty && Instant::now() >= self.frame_due() {
                self.draw()?;
            }
            self.feed.look_at(self.state.focus());
            if let Some(query) = self.state.next_query() {
                self.errands.ask(query);
            }
            let happening = match self.patience() {
                Some(patience) => rx.recv_timeout(patience),
                None => rx.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            self.state.now = clock::now();
            let ended = match happening {
                Ok(happening) => self.on_happening(happening)?,
                Err(RecvTimeoutError::Timeout) => self.update(Cmd::Woken)?,
                Err(RecvTimeoutError::Disconnected) => return Err(TuiError::Broken),
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
            self.remember(Memory::is_due);
        }
    }

    fn frame_due(&self) -> Instant {
        if self.asked { self.next_frame } else { self.next_unasked }
    }

    /// How long there is nothing to do; `None` for as long as nothing happens.
    fn patience(&self) -> Option<Duration> {
        let frame = self.state.dirty.then(|| self.frame_due().saturating_duration_since(Instant::now()));
        let due = self.state.next_deadline().map(|due| Duration::from_micros((due - clock::now()).0));
        frame.into_iter().chain(due).min()
    }

    fn draw(&mut self) -> Result<(), TuiError> {
        let size = self.screen.size().map_err(TuiError::Terminal)?;
        if size != self.state.size {
            self.update(Cmd::Resized(size))?;
        }
        self.screen.draw(&self.state, self.theme).map_err(TuiError::Terminal)?;
        (self.state.dirty, self.asked) = (false, false);
        self.next_frame = Instant::now() + FRAME_EVERY;
        self.next_unasked = Instant::now() + Duration::from_micros(self.state.options.refresh.0);
        Ok(())
    }

    fn on_happening(&mut self, happening: Happening) -> Result<Option<Ended>, TuiError> {
        self.asked |= !matches!(happening, Happening::Heard(_)) || self.state.feed == Hearing::Waiting;
        let cmd = match happening {
            Happening::Terminal(Happened::Typed(Typed::Key(key))) => return self.on_key(key),
            Happening::Terminal(Happened::Typed(Typed::Pasted(text))) => Cmd::Paste(text),
            Happening::Terminal(Happened::Typed(Typed::Tapped(at))) => Cmd::Tapped(at),
            Happening::Terminal(Happened::Typed(Typed::Wheeled { up })) => Cmd::Wheeled { up },
            Happening::Terminal(Happened::Typed(Typed::Background { is_light })) => {
                self.suit(is_light);
                return Ok(None);
            }
            Happening::Terminal(Happened::Resized) => {
                self.screen.forget();
                Cmd::Resized(self.screen.size().map_err(TuiError::Terminal)?)
            }
            Happening::Terminal(Happened::Stopped) => Cmd::Suspend,
            Happening::Terminal(Happened::Continued) => return self.enter_again(),
            Happening::Terminal(Happened::Told(signal)) => return Ok(Some(Ended::Signalled(signal))),
            Happening::Terminal(Happened::Gone) => return Ok(Some(Ended::Alone)),
            Happening::Heard(heard) => Cmd::Heard(heard),
            Happening::Ran { number, outcome } => {
                self.errands.forget(number);
                Cmd::Ran { number, outcome }
            }
            Happening::Said { number, text, dropped } => Cmd::Said { number, text, dropped },
            Happening::Answered { query, reply } => Cmd::Answered { query, reply },
            Happening::Broken => return Err(TuiError::Broken),
        };
        self.update(cmd)
    }

    /// To what the terminal says of itself, where nobody has chosen.
    fn suit(&mut self, is_light: bool) {
        let palette = if is_light { Palette::Light } else { Palette::Dark };
        if self.asks_background && self.theme.palette != palette {
            self.theme.palette = palette;
            self.state.dirty = true;
        }
    }

    fn on_key(&mut self, key: Key) -> Result<Option<Ended>, TuiError> {
        keymap::meaning(&self.state, key).map_or(Ok(None), |cmd| self.update(cmd))
    }

    fn update(&mut self, cmd: Cmd) -> Result<Option<Ended>, TuiError> {
        match update::update(&mut self.state, cmd) {
            None => {}
            Some(Action::Quit) => return Ok(Some(Ended::Quit)),
            Some(Action::Attach(fleet)) => return Ok(Some(Ended::Attach(fleet))),
            Some(Action::Suspend) => {
                self.screen.suspend().map_err(TuiError::Terminal)?;
                return self.enter_again();
            }
            Some(Action::Run(errands)) => errands.into_iter().for_each(|errand| self.errands.begin(errand)),
            Some(Action::Copy(text)) => self.screen.copy(&text).map_err(TuiError::Terminal)?,
            Some(Action::Stop { number }) => self.errands.end(number),
        }
        Ok(None)
    }

    fn enter_again(&mut self) -> Result<Option<Ended>, TuiError> {
        self.screen.enter_again().map_err(TuiError::Terminal)?;
        self.state.dirty = true;
        Ok(None)
    }
}
