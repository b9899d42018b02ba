//! What this node's packs may take of its disk: beyond that go those of other engines, and then those that were of no use for the
//! longest time. Whoever needs one of them again makes it again, or is brought it.

use std::{
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use bitacora_core::ids::Digest;
use crossbeam_channel::{RecvTimeoutError, Sender};

use crate::cache::Cache;

/// Between two looks: what a node makes in the meantime is little beside any allowance.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A pack that was written or used since then stays: a result that names it may be on its way.
const IN_USE: Duration = Duration::from_secs(600);
/// Once it is exceeded so much is left, in hundredths, so that not every new pack drives out another one.
const LEFT_PERCENT: u64 = 90;
/// Packs that go at one look; the rest goes at the next ones.
pub const DROPPED_MAX: usize = 4096;

/// The thread that looks. Dropping it ends it.
pub struct Allowance {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Allowance {
    /// Looks at once and then regularly; `tell` hears what has gone, and must not block.
    pub fn start(cache: Cache, bytes_max: u64, tell: impl Fn(Vec<Digest>) + Send + 'static) -> Allowance {
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let thread = std::thread::Builder::new().name("allowance".into()).spawn(move || {
            loop {
                let dropped = enforce(&cache, bytes_max, SystemTime::now());
                if !dropped.is_empty() {
                    tell(dropped);
                }
                if stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        // A machine that has no thread left for this has greater troubles.
        Allowance { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

/// A pack that may go: whether it is of this engine, when it was of use last, its name and its size.
type Candidate = (bool, SystemTime, Digest, u64);

/// Removes what is too much; answers with what has gone.
fn enforce(cache: &Cache, bytes_max: u64, now: SystemTime) -> Vec<Digest> {
    // What cannot be listed now is listed the next time.
    let all = cache.packs().list().unwrap_or_default();
    let bytes: u64 = all.iter().map(|(_, size)| size).sum();
    if bytes <= bytes_max {
        return Vec::new();
    }
    let mut excess = bytes - bytes_max / 100 * LEFT_PERCENT;
    let mut candidates: Vec<Candidate> = all.into_iter().filter_map(|(name, size)| candidate(cache, name, size, now)).collect();
    candidates.sort_unstable();
    let mut dropped = Vec::new();
    for (_, _, name, size) in candidates.into_iter().take(DROPPED_MAX) {
        if excess == 0 {
            break;
        }
        if cache.packs().remove(name).is_ok() {
            excess = excess.saturating_sub(size);
            dropped.push(name);
        }
    }
    dropped
}

fn candidate(cache: &Cache, name: Digest, size: u64, now: SystemTime) -> Option<Candidate> {
    let used_at = cache.packs().path(name).metadata().and_then(|found| found.modified()).ok()?;
    let is_current = cache.records(name).is_ok_and(|pack| pack.fingerprint() == cache.fingerprint());
    // One that is from the future is of now: the clock was set back.
    now.duration_since(used_at).is_ok_and(|since| since > IN_USE).then_some((is_current, used_at, name, size))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs::File};

    use super::*;
    use crate::{analysis, blobs};

    #[test]
    fn what_was_of_no_use_for_the_longest_time_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), analysis::fingerprint()).unwrap();
        let now = SystemTime::now();
        // None of them is a pack of this engine, each has a hundred bytes, and the last is in use.
        let minutes_ago = [50, 20, 40, 30, 1];
        for (number, minutes) in (0..).zip(minutes_ago) {
            let name = cache.packs().write(&[number; 100]).unwrap();
            File::options().append(true).open(cache.packs().path(name)).unwrap().set_modified(now - Duration::from_secs(60 * minutes)).unwrap();
        }
        let names = |numbers: &[u8]| numbers.iter().map(|number| blobs::digest(&[*number; 100])).collect::<Vec<_>>();
        assert_eq!(enforce(&cache, 500, now), []);
        assert_eq!(enforce(&cache, 400, now), names(&[0, 2]), "to nine tenths");
        assert_eq!(enforce(&cache, 400, now), []);
        assert_eq!(enforce(&cache, 0, now), names(&[3, 1]));
        let left: BTreeSet<Digest> = cache.packs().list().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(left, names(&[4]).into_iter().collect(), "what is in use stays, whatever the allowance");
    }
}
