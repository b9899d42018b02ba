//! The last values of a figure, for a sparkline.

use std::collections::VecDeque;

/// A minute, at one value a second.
const SAMPLES_MAX: usize = 60;

/// Thousandths, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    permille: VecDeque<u16>,
}

impl History {
    pub fn push(&mut self, permille: u16) {
        if self.permille.len() == SAMPLES_MAX {
            self.permille.pop_front();
        }
        self.permille.push_back(permille.min(1000));
    }

    /// Has it been the same for as long as it is remembered?
    pub fn is_flat(&self) -> bool {
        self.permille.iter().all(|sample| Some(sample) == self.permille.front())
    }

    /// The newest `count`, the newest last.
    pub fn newest(&self, count: usize) -> impl Iterator<Item = u16> + '_ {
        self.permille.iter().copied().skip(self.permille.len().saturating_sub(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept() {
        let mut history = History::default();
        (0..200).for_each(|sample| history.push(sample * 10));
        assert_eq!(history.newest(2).collect::<Vec<_>>(), [1000, 1000]);
        assert_eq!(history.newest(1000).count(), SAMPLES_MAX);
        assert!(!history.is_flat() || history.newest(SAMPLES_MAX).all(|sample| sample == 1000));
    }
}
