//! Halstead's four counts, for each function and for the whole file, in one pass.
//!
//! Every operand text gets a number at its first sight. "Seen in this function" is one stamp per number; where functions
//! nest, the stamp of the outer one is put back when the inner one ends.

use bitacora_core::wire::record::Halstead;

/// What was seen in the function that is open now.
#[derive(Default)]
struct Stamps {
    stamps: Vec<u32>,
    /// Stamps of enclosing functions that were overwritten.
    overwritten: Vec<(u32, u32)>,
}

impl Stamps {
    /// Is this the first time in the function with this stamp?
    #[inline]
    fn is_new(&mut self, id: u32, stamp: u32, nested: bool) -> bool {
        if self.stamps.len() <= id as usize {
            self.stamps.resize(id as usize + 1, 0);
        }
        let old = std::mem::replace(&mut self.stamps[id as usize], stamp);
        if nested && old != stamp {
            self.overwritten.push((id, old));
        }
        old != stamp
    }

    fn put_back(&mut self, length: usize) {
        for (id, old) in self.overwritten.drain(length..).rev() {
            self.stamps[id as usize] = old;
        }
    }
}

/// Numbers for texts, by a 64-bit hash.
#[derive(Default)]
struct Interner {
    slots: Vec<(u64, u32)>,
    count: u32,
}

const INTERNER_SLOTS_MIN: usize = 1024;

impl Interner {
    fn clear(&mut self) {
        if self.slots.len() > 64 * INTERNER_SLOTS_MIN || self.slots.is_empty() {
            self.slots = vec![(0, 0); INTERNER_SLOTS_MIN];
        } else if self.count > 0 {
            self.slots.fill((0, 0));
        }
        self.count = 0;
    }

    /// Numbers from 1.
    #[inline]
    fn number(&mut self, text: &[u8]) -> u32 {
        let hash = hash(text);
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            match self.slots[place] {
                (_, 0) => break,
                (present, number) if present == hash => return number,
                _ => place = (place + 1) & mask,
            }
        }
        self.count += 1;
        self.slots[place] = (hash, self.count);
        let number = self.count;
        if self.count as usize * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    #[cold]
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![(0, 0); old.len() * 2];
        let mask = self.slots.len() - 1;
        for (hash, number) in old.into_iter().filter(|(_, number)| *number > 0) {
            let mut place = hash as usize & mask;
            while self.slots[place].1 > 0 {
                place = (place + 1) & mask;
            }
            self.slots[place] = (hash, number);
        }
    }
}

/// Multiply and rotate, eight bytes at a time, the same on every machine. Texts that collide count as one operand.
#[inline]
fn hash(text: &[u8]) -> u64 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = text.len() as u64;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        state = (state.rotate_left(29) ^ u64::from_le_bytes(chunk.try_into().expect("chunks of eight"))).wrapping_mul(MIX);
    }
    let tail = chunks.remainder().iter().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
    state = (state.rotate_left(29) ^ tail).wrapping_mul(MIX);
    state ^ state >> 32
}

/// Counts for the open functions and the file.
#[derive(Default)]
pub(super) struct Counter {
    operands: Interner,
    operand_stamps: Stamps,
    operator_stamps: Stamps,
    /// Operators seen in the file at all.
    operators_seen: Vec<bool>,
    file: Halstead,
    open: Vec<Open>,
    last_stamp: u32,
}

/// What an open function takes here.
pub(super) const OPEN_BYTES: usize = size_of::<Open>();

struct Open {
    stamp: u32,
    counts: Halstead,
    operands_overwritten: usize,
    operators_overwritten: usize,
}

impl Counter {
    pub(super) fn clear(&mut self) {
        self.operands.clear();
        for stamps in [&mut self.operand_stamps, &mut self.operator_stamps] {
            stamps.stamps.clear();
            stamps.overwritten.clear();
        }
        self.operators_seen.clear();
        self.file = Halstead::default();
        self.open.clear();
        self.last_stamp = 0;
    }

    pub(super) fn open(&mut self) {
        self.last_stamp += 1;
        self.open.push(Open {
            stamp: self.last_stamp,
            counts: Halstead::default(),
            operands_overwritten: self.operand_stamps.overwritten.len(),
            operators_overwritten: self.operator_stamps.overwritten.len(),
        });
    }

    pub(super) fn close(&mut self) -> Halstead {
        let open = self.open.pop().expect("every close follows an open");
        self.operand_stamps.put_back(open.operands_overwritten);
        self.operator_stamps.put_back(open.operators_overwritten);
        open.counts
    }

    #[inline]
    pub(super) fn operand(&mut self, text: &[u8]) {
        let number = self.operands.number(text);
        self.file.operands += 1;
        let nested = self.open.len() > 1;
        if let Some(open) = self.open.last_mut() {
            open.counts.operands += 1;
            open.counts.operands_distinct += u32::from(self.operand_stamps.is_new(number, open.stamp, nested));
        }
    }

    #[inline]
    pub(super) fn operator(&mut self, kind: u16) {
        self.file.operators += 1;
        let place = usize::from(kind);
        if self.operators_seen.len() <= place {
            self.operators_seen.resize(place + 1, false);
        }
        self.file.operators_distinct += u32::from(!std::mem::replace(&mut self.operators_seen[place], true));
        let nested = self.open.len() > 1;
        if let Some(open) = self.open.last_mut() {
            open.counts.operators += 1;
            open.counts.operators_distinct += u32::from(self.operator_stamps.is_new(u32::from(kind), open.stamp, nested));
        }
    }

    pub(super) fn file(&self) -> Halstead {
        Halstead { operands_distinct: self.operands.count, ..self.file }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_functions_count_apart() {
        let mut counter = Counter::default();
        counter.clear();
        counter.open();
        counter.operand(b"x");
        counter.operator(1);
        counter.open();
        counter.operand(b"x");
        counter.operand(b"y");
        let inner = counter.close();
        counter.operand(b"x");
        counter.operator(1);
        let outer = counter.close();
        assert_eq!((inner.operands, inner.operands_distinct), (2, 2));
        assert_eq!((outer.operands, outer.operands_distinct, outer.operators, outer.operators_distinct), (2, 1, 2, 1));
        let file = counter.file();
        assert_eq!((file.operands, file.operands_distinct), (4, 2));
    }

    #[test]
    fn many_operands_keep_their_numbers() {
        let mut interner = Interner::default();
        interner.clear();
        let numbers: Vec<u32> = (0..10_000).map(|i: u32| interner.number(&i.to_le_bytes())).collect();
        assert!((0..10_000).all(|i: u32| interner.number(&i.to_le_bytes()) == numbers[i as usize]));
        assert_eq!(interner.count, 10_000);
    }
}
