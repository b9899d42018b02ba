//! Hears from the master what is new. Sleeps until there is something, and asks anew when something else is wanted. Holds
//! nothing but how much is known: what it hears goes to the loop.

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Happening, clean, update::Heard};
use crate::control::{
    self, Answer, Request,
    watch::{Focus, News, Watch},
};

/// Is there a master by now?
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// One that is busy, or ends, is asked again sooner.
const BUSY_MAX: Duration = Duration::from_millis(500);
/// Words to the thread that wait; only the last one counts.
const BELL_MAX: usize = 64;

pub struct Feed {
    bell: Sender<Focus>,
    /// Wakes the thread while it waits for the master.
    wake: UnixStream,
    focus: Focus,
}

impl Feed {
    pub fn start(control: PathBuf, tx: &Sender<Happening>) -> io::Result<Feed> {
        let (bell, rung) = crossbeam_channel::bounded(BELL_MAX);
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let happenings = tx.clone();
        let watch = Watch { watcher: RandomState::new().hash_one(std::process::id()), ..Watch::default() };
        super::start("feed", tx, move || drop(Ear { control, rung, woken, watch, last: None }.listen(&happenings)))?;
        Ok(Feed { bell, wake, focus: Focus::default() })
    }

    /// What is wanted besides the lists.
    pub fn look_at(&mut self, focus: Focus) {
        if focus != self.focus && self.bell.try_send(focus).is_ok() {
            self.focus = focus;
            // One that is full wakes it already.
            let _ = self.wake.write(&[0]);
        }
    }
}

/// The thread's side.
struct Ear {
    control: PathBuf,
    rung: Receiver<Focus>,
    woken: UnixStream,
    watch: Watch,
    /// What was said last, where it was no news: nobody needs to hear it twice.
    last: Option<Heard>,
}

/// Nobody listens any more.
struct Over;

/// What came of a question.
enum Told {
    NoMaster,
    Answer(Answer),
    /// Something else is wanted before there was an answer.
    Otherwise,
    Over,
}

impl Ear {
    fn listen(mut self, tx: &Sender<Happening>) -> Result<(), Over> {
        loop {
            match self.ask() {
                Ok(Told::Over) => return Err(Over),
                Ok(Told::Otherwise) => continue,
                Ok(Told::NoMaster) => self.say(tx, Heard::NoMaster)?,
                Ok(Told::Answer(Answer::News(news))) => {
                    self.learn(&news);
                    let heard = Heard::News(Box::new(clean::news(*news)));
                    tx.send(Happening::Heard(heard)).map_err(|_| Over)?;
                    self.last = None;
                    continue;
                }
                Ok(Told::Answer(Answer::Busy)) => {
                    self.rest(BUSY_MAX)?;
                    continue;
                }
                Ok(Told::Answer(Answer::Refused(mut reason))) => {
                    clean::mend(&mut reason);
                    self.say(tx, Heard::Failed(reason))?;
                }
                Ok(Told::Answer(_)) => self.say(tx, Heard::Failed("the master answers something else; is it of another version?".into()))?,
                Err(error) => self.say(tx, Heard::Failed(error.to_string()))?,
            }
            self.rest(RETRY_EVERY)?;
        }
    }

    fn say(&mut self, tx: &Sender<Happening>, heard: Heard) -> Result<(), Over> {
        if self.last.as_ref() == Some(&heard) {
            return Ok(());
        }
        self.last = Some(heard.clone());
        tx.send(Happening::Heard(heard)).map_err(|_| Over)
    }

    fn ask(&mut self) -> io::Result<Told> {
        let Some(asking) = control::begin(&self.control, &Request::Watch(self.watch.clone()))? else { return Ok(Told::NoMaster) };
        loop {
            let mut waited = [PollFd::new(&asking, PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
            match poll(&mut waited, Some(&timespec(control::WATCH_MAX * 2))) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(0) => return Err(io::Error::other("the master does not answer")),
                Ok(_) => {}
            }
            if !waited[0].revents().is_empty() {
                return asking.answer().map(Told::Answer);
            }
            match self.take_wish() {
                Ok(true) => return Ok(Told::Otherwise),
                Ok(false) => {}
                Err(Over) => return Ok(Told::Over),
            }
        }
    }

    /// Sleeps, unless something else is wanted.
    fn rest(&mut self, span: Duration) -> Result<(), Over> {
        // A signal is no reason to wait longer.
        let _ = poll(&mut [PollFd::new(&self.woken, PollFlags::IN)], Some(&timespec(span)));
        self.take_wish().map(drop)
    }

    /// Is something else wanted than before?
    fn take_wish(&mut self) -> Result<bool, Over> {
        let mut rings = [0; BELL_MAX];
        // Empty, or the other end is gone: the channel tells.
        let _ = self.woken.read(&mut rings);
        let mut is_new = false;
        loop {
            match self.rung.try_recv() {
                Ok(focus) => {
                    is_new |= focus != self.watch.focus;
                    (self.watch.focus, self.watch.focus_known) = (focus, 0);
                }
                Err(TryRecvError::Empty) => return Ok(is_new),
                Err(TryRecvError::Disconnected) => return Err(Over),
            }
        }
    }

    fn learn(&mut self, news: &News) {
        self.watch.known = Some(news.mark);
        self.watch.focus_known = news.focus_known;
        self.watch.event = news.events.last().map_or(if news.from_nothing { 0 } else { self.watch.event }, |event| event.number);
    }
}

fn timespec(span: Duration) -> Timespec {
    Timespec { tv_sec: span.as_secs() as i64, tv_nsec: i64::from(span.subsec_nanos()) }
}
