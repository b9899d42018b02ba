//! Sizes as people write them, and as ripgrep's `--max-filesize` reads them: `500`, `50K`, `5M`, `1G`, in units of 1024.

/// Read as an argument; the error is for the person who wrote it.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let unknown = || format!("{text:?} is no size; write a number of bytes, or one and K, M or G, as in 20M");
    let digits = text.strip_suffix(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text);
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return Err(unknown()),
    };
    let number = if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse::<u64>().ok() } else { None };
    number.and_then(|number| number.checked_mul(unit)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [("0", 0), ("500", 500), ("50K", 51_200), ("5m", 5 << 20), ("1G", 1 << 30)] {
            assert_eq!(bytes(text), Ok(expected));
        }
        for text in ["", "K", "-1", "+1", "1.5M", "5 M", "5MB", "5T", "99999999999999999999", "18446744073709551615K", "5\u{e9}"] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
    }
}
