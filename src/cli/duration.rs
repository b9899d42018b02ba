//! Lengths of time as people write them: `90`, `90s`, `15m`, `1h`, `7d`.

use bitacora_core::time::Span;

/// Ten years: whoever writes more has written something else.
const SECONDS_MAX: u64 = 10 * 365 * 24 * 3600;

/// Read as an argument; a number alone is seconds. The error is for the person who wrote it.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let unknown = || format!("{text:?} is no length of time; write a number and s, m, h or d, as in 90s or 1h");
    let digits = text.strip_suffix(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text);
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(unknown()),
    };
    let number: u64 = if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().map_err(|_| unknown())? } else { return Err(unknown()) };
    match number.checked_mul(unit) {
        Some(seconds) if seconds <= SECONDS_MAX => Ok(Span::from_secs(seconds)),
        _ => Err(format!("{text} is more than ten years")),
    }
}

/// The largest unit that leaves no rest.
pub(super) fn words(span: Span) -> String {
    let seconds = span.0 / 1_000_000;
    let units = [(24 * 3600, "d"), (3600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, letter)| format!("{}{letter}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_and_written() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 7 * 24 * 3600), ("0s", 0)] {
            assert_eq!((span(text), words(Span::from_secs(seconds)).as_str()), (Ok(Span::from_secs(seconds)), text));
        }
        assert_eq!(span("90"), Ok(Span::from_secs(90)));
        for text in ["", "s", "1w", "-1s", "+1s", "1.5h", "1hh", "5 m", "99999999999999999d", "3651d", "18446744073709551615h", "1\u{e9}"] {
            assert!(span(text).is_err(), "{text:?}");
        }
    }
}
