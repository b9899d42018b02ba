//! What the fuzzer checks, over mutations of real frames that are the same in every run.

#[path = "../../fuzz/frames.rs"]
mod checks;

/// Mutations of each seed.
const MUTATIONS: u64 = 20_000;

/// xorshift64*: enough for this, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let place = dice.below(bytes.len());
    match dice.below(6) {
        0 => bytes[place] = dice.below(256) as u8,
        1 => bytes[place] ^= 1 << dice.below(8),
        2 => bytes.truncate(place.max(1)),
        3 => bytes.insert(place, dice.below(256) as u8),
        4 => bytes.extend_from_within(place..),
        _ => drop(bytes.remove(place)),
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}

#[test]
fn mutated_frames_break_nothing() {
    let mut dice = Dice(0x0b17_ac0a);
    for seed in checks::seeds() {
        checks::check(&[[1].as_slice(), &seed].concat());
        for _ in 0..MUTATIONS {
            let mut bytes = seed.clone();
            (0..1 + dice.below(4)).for_each(|_| mutate(&mut bytes, &mut dice));
            bytes.insert(0, dice.below(64) as u8);
            checks::check(&bytes);
        }
    }
}
