//! The last values of a figure, for a sparkline. A value holds until there is another one. The master keeps them, so that a dashboard
//! that opens has a past to show, and the dashboard goes on from there.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A minute, at one value a second.
const SAMPLES_MAX: usize = 60;

/// Thousandths, one a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The newest last.
    permille: VecDeque<u16>,
    /// The second of the newest.
    second: u64,
}

impl History {
    pub fn push(&mut self, second: u64, permille: u16) {
        let permille = permille.min(1000);
        let Some(last) = self.permille.back().copied() else {
            (self.second, self.permille) = (second, [permille].into());
            return;
        };
        let passed = second.saturating_sub(self.second);
        if passed == 0 {
            *self.permille.back_mut().expect("there is one") = permille;
            return;
        }
        (1..passed.min(SAMPLES_MAX as u64)).for_each(|_| self.add(last));
        self.add(permille);
        self.second = second;
    }

    /// As told at a second of somebody else's clock, which is this one here.
    pub fn told_at(mut self, theirs: u64, here: u64) -> History {
        let ago = theirs.saturating_sub(self.second);
        self.second = here.saturating_sub(ago);
        self.permille.truncate(SAMPLES_MAX);
        self.permille.iter_mut().for_each(|permille| *permille = (*permille).min(1000));
        self
    }

    fn add(&mut self, permille: u16) {
        if self.permille.len() == SAMPLES_MAX {
            self.permille.pop_front();
        }
        self.permille.push_back(permille);
    }

    /// Seconds since the newest one.
    pub fn age(&self, second: u64) -> u64 {
        second.saturating_sub(self.second)
    }

    /// The newest `count` as of a second, the newest last.
    pub fn newest(&self, count: usize, second: u64) -> impl Iterator<Item = u16> + '_ {
        let since = usize::try_from(second.saturating_sub(self.second)).unwrap_or(usize::MAX).min(count);
        let since = if self.permille.is_empty() { 0 } else { since };
        let earlier = self.permille.len().saturating_sub(count - since);
        self.permille.iter().copied().skip(earlier).chain(std::iter::repeat_n(self.permille.back().copied().unwrap_or(0), since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept() {
        let mut history = History::default();
        (0..200).for_each(|sample| history.push(u64::from(sample), sample * 10));
        assert_eq!(history.newest(2, 199).collect::<Vec<_>>(), [1000, 1000]);
        assert_eq!(history.newest(1000, 199).count(), SAMPLES_MAX);
    }

    #[test]
    fn a_history_goes_on_by_another_clock() {
        let mut history = History::default();
        (10..=12).for_each(|second| history.push(second, second as u16));
        let mut told = history.told_at(15, 1000);
        assert_eq!(told.newest(6, 1000).collect::<Vec<_>>(), [10, 11, 12, 12, 12, 12]);
        told.push(1001, 99);
        assert_eq!(told.newest(3, 1001).collect::<Vec<_>>(), [12, 12, 99]);
    }

    #[test]
    fn a_value_holds_until_there_is_another() {
        let mut history = History::default();
        history.push(10, 100);
        history.push(13, 200);
        assert_eq!(history.newest(9, 13).collect::<Vec<_>>(), [100, 100, 100, 200]);
        assert_eq!(history.newest(9, 15).collect::<Vec<_>>(), [100, 100, 100, 200, 200, 200]);
        assert_eq!(history.newest(2, 1000).collect::<Vec<_>>(), [200, 200]);
        assert_eq!(History::default().newest(5, 3).count(), 0);
        history.push(13, 300);
        assert_eq!(history.newest(2, 13).collect::<Vec<_>>(), [100, 300], "the last word of a second counts");
    }
}
