//! Three neighbouring characters of a name as a number of 18 bits.

/// How many there are.
pub const COUNT: usize = 1 << 18;
/// Of blocks with a name that is not ASCII.
pub const ODD: u32 = COUNT as u32 - 1;

/// What a byte counts as: letters whatever their case, digits and the common signs by themselves, the rest together.
pub const fn class(byte: u8) -> u8 {
    match byte.to_ascii_lowercase() {
        b'\n' => 0,
        letter @ b'a'..=b'z' => 1 + letter - b'a',
        digit @ b'0'..=b'9' => 27 + digit - b'0',
        b'_' => 37,
        b'$' => 38,
        b'-' => 39,
        b'.' => 40,
        b':' => 41,
        0x80..=0xff => 63,
        other => 42 + other % 21,
    }
}

/// Those of a text, given its classes.
pub fn of(classes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    classes.windows(3).map(|three| number(three[0], three[1], three[2]))
}

/// All that begin with these two classes.
pub fn beginning_with(first: u8, second: u8) -> std::ops::Range<u32> {
    number(first, second, 0)..number(first, second, 63) + 1
}

const fn number(first: u8, second: u8, third: u8) -> u32 {
    (first as u32) << 12 | (second as u32) << 6 | third as u32
}
