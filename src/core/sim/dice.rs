//! Chance from a seed: the same seed, the same run. Knows nothing of what it decides.

use crate::time::Span;

/// A SplitMix64 sequence (Steele, Lea, Flood 2014): small, fast, and every seed is a good one.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// Less than `end`, which is not zero. The bias of the remainder is far below what a simulation could notice.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// So often in ten thousand.
    pub(super) fn chance(&mut self, per_myriad: u32) -> bool {
        self.below(10_000) < u64::from(per_myriad)
    }

    pub(super) fn millis(&mut self, first: u64, end: u64) -> Span {
        Span(first * 1_000 + self.below((end - first) * 1_000))
    }

    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> Option<T> {
        let place = self.below(among.len().max(1) as u64);
        among.get(place as usize).copied()
    }

    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }
}

/// The finishing step of SplitMix64.
pub(super) fn mix(key: u64) -> u64 {
    let mut z = key;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
