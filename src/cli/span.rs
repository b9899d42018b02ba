//! Lengths of time as people write them: `90`, `90s`, `5m`, `2h`.

use bitacora_core::time::Span;

/// A week: nobody means more.
const SECONDS_MAX: u64 = 7 * 24 * 3600;

/// Reads one; a number alone is seconds.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let seconds = unit.zip(digits.parse::<u64>().ok()).and_then(|(unit, number)| number.checked_mul(unit));
    match seconds {
        None => Err("a length of time looks like 90, 90s, 5m or 2h".to_owned()),
        Some(seconds) if seconds > SECONDS_MAX => Err("that is more than a week".to_owned()),
        Some(seconds) => Ok(Span::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!([span("0"), span("90s"), span("5m"), span("2h")], [0, 90, 300, 7200].map(|seconds| Ok(Span::from_secs(seconds))));
        for text in ["", "s", "5 m", "-1", "1d", "9999999999999999999999h", "200h", "1.5m"] {
            assert!(span(text).is_err(), "{text:?}");
        }
    }
}
