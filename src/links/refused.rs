//! Who was not let in, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Who was not let in, by the reason. Counted, and not told one by one: whoever knocks must not fill the loop's inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused<Count = u64> {
    pub handshake: Count,
    pub no_member: Count,
    pub second_life: Count,
    pub version: Count,
    pub unknown_token: Count,
    pub wrong_proof: Count,
    pub unsound: Count,
}

pub(super) type Counters = Refused<AtomicU64>;

impl Counters {
    pub(super) fn one(&self, counter: impl Fn(&Counters) -> &AtomicU64) {
        counter(self).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take(&self) -> Refused {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Refused {
            handshake: take(&self.handshake),
            no_member: take(&self.no_member),
            second_life: take(&self.second_life),
            version: take(&self.version),
            unknown_token: take(&self.unknown_token),
            wrong_proof: take(&self.wrong_proof),
            unsound: take(&self.unsound),
        }
    }
}
