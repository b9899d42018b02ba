//! The terminal: the only file that reads keys and writes cells. However the program ends, the terminal is as it was before.

use std::{
    io::{self, BufWriter, Stdout, Write, stdin, stdout},
    sync::atomic::{AtomicBool, Ordering},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use crossbeam_channel::Sender;
use crossterm::{
    cursor, event, execute, queue,
    style::Print,
    terminal::{self as device, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::{
    backend::{Backend, CrosstermBackend},
    buffer::Buffer,
    layout::{Position, Rect, Size},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH},
    iterator::Signals,
    low_level::emulate_default_handler,
};

use super::{
    Happening,
    input::{ASK_BACKGROUND, ESCAPE_MAX, Input, Typed},
    screens,
    state::State,
    theme::Theme,
};

/// A frame leaves in one piece.
const FRAME_BYTES: usize = 64 << 10;
/// A terminal that does not know its size: a serial line, or a program that plays one.
const UNKNOWN: Size = Size { width: 80, height: 24 };
/// Presses and wheels, in figures of any size; not every move, which would wake this program for nothing.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";
/// A paste comes in pieces of this.
const READ_BYTES: usize = 4096;
/// Terminals refuse more, or drop it without a word.
const COPY_BYTES_MAX: usize = 64 << 10;

/// Is the terminal ours now? For everybody who may have to give it back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// What comes from the terminal, and from whoever owns it.
pub enum Happened {
    Typed(Typed),
    Resized,
    /// Told to stop, as by Ctrl-Z.
    Stopped,
    Continued,
    /// Told to end, by a signal.
    Told(i32),
    Gone,
}

/// Cells are compared here with those of the frame before. Ratatui's own terminal is not used: it speaks when it is dropped, and that ends
/// in a panic where nobody listens any more.
pub struct Screen {
    out: CrosstermBackend<BufWriter<Stdout>>,
    shown: Buffer,
    /// What is on the terminal is not what was drawn.
    is_foreign: bool,
    _given_back: GiveBack,
}

/// Gives the terminal back when it is dropped.
struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        give_back();
    }
}

impl Screen {
    /// With the question what its background is, if that is not known: the answer comes among the keys.
    pub fn open(asks_background: bool) -> io::Result<Screen> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // First the terminal, then the words: on the other screen nobody would see them.
            give_back();
            before(panic);
        }));
        let given_back = GiveBack;
        take()?;
        if asks_background {
            execute!(stdout(), Print(ASK_BACKGROUND))?;
        }
        let out = CrosstermBackend::new(BufWriter::with_capacity(FRAME_BYTES, stdout()));
        Ok(Screen { out, shown: Buffer::default(), is_foreign: true, _given_back: given_back })
    }

    /// Never without cells.
    pub fn size(&self) -> io::Result<Size> {
        let (width, height) = device::size()?;
        Ok(if width == 0 || height == 0 { UNKNOWN } else { Size { width, height } })
    }

    /// What is on the terminal counts for nothing: it has another size, or was somebody else's.
    pub fn forget(&mut self) {
        self.is_foreign = true;
    }

    pub fn draw(&mut self, state: &State, theme: Theme) -> io::Result<()> {
        let area = Rect::from((Position::ORIGIN, state.size));
        queue!(self.out, BeginSynchronizedUpdate)?;
        if self.is_foreign || self.shown.area != area {
            queue!(self.out, Clear(ClearType::All))?;
            self.shown = Buffer::empty(area);
        }
        let mut next = Buffer::empty(area);
        screens::draw(state, theme, &mut next);
        self.out.draw(self.shown.diff(&next).into_iter())?;
        queue!(self.out, EndSynchronizedUpdate)?;
        Write::flush(&mut self.out)?;
        (self.shown, self.is_foreign) = (next, false);
        Ok(())
    }

    /// To the clipboard of the terminal, wherever that is (OSC 52).
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let end = text.floor_char_boundary(COPY_BYTES_MAX);
        queue!(self.out, Print(format!("\x1b]52;c;{}\x07", BASE64_STANDARD.encode(&text[..end]))))?;
        Write::flush(&mut self.out)
    }

    /// Gives the terminal back and stops until somebody continues this process.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        emulate_default_handler(SIGTSTP)
    }

    /// The terminal may have been anybody's meanwhile.
    pub fn enter_again(&mut self) -> io::Result<()> {
        give_back();
        self.is_foreign = true;
        take()
    }
}

fn take() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    device::enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, event::EnableBracketedPaste, Print(MOUSE_ON), cursor::Hide)
}

/// May be called by anybody, and as often as they like.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = stdout();
        // A terminal that is gone needs nothing back.
        let _ = execute!(out, EndSynchronizedUpdate, Print(MOUSE_OFF), event::DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = out.flush();
        let _ = device::disable_raw_mode();
    }
}

/// Keys and signals, each on a thread that sleeps until there is one.
pub fn listen(tx: &Sender<Happening>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGCONT, SIGWINCH])?;
    let told = tx.clone();
    super::start("signals", tx, move || {
        let _ = signals.forever().map(meaning).try_for_each(|happened| told.send(Happening::Terminal(happened)));
    })?;
    let typed = tx.clone();
    super::start("keys", tx, move || {
        read_keys(&typed);
        // Nobody listens when the loop ended first.
        let _ = typed.send(Happening::Terminal(Happened::Gone));
    })
}

fn meaning(signal: i32) -> Happened {
    match signal {
        SIGWINCH => Happened::Resized,
        SIGTSTP => Happened::Stopped,
        SIGCONT => Happened::Continued,
        signal => Happened::Told(signal),
    }
}

/// Until the terminal is gone, or nobody listens.
fn read_keys(tx: &Sender<Happening>) {
    let (terminal, mut input, mut bytes) = (stdin(), Input::default(), [0; READ_BYTES]);
    loop {
        let patience = input.is_begun().then_some(Timespec { tv_sec: 0, tv_nsec: ESCAPE_MAX.subsec_nanos().into() });
        let mut waited = [PollFd::new(&terminal, PollFlags::IN)];
        let typed = match poll(&mut waited, patience.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(0) => input.end().into_iter().collect(),
            // What was typed before is for nobody.
            Ok(_) if waited[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => return,
            Ok(_) => match rustix::io::read(&terminal, &mut bytes) {
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                Ok(0) | Err(_) => return,
                Ok(count) => input.take(&bytes[..count]),
            },
        };
        for typed in typed {
            if tx.send(Happening::Terminal(Happened::Typed(typed))).is_err() {
                return;
            }
        }
    }
}
