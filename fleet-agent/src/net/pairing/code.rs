//! The code that a node shows and a person types: eight characters in two groups, forty bits.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::net::tls::{TlsError, random};

/// Crockford's alphabet: no I, L, O and U, which are read as something else.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARACTERS: usize = 8;
const GROUP: usize = 4;

/// One-time, for five minutes and three tries: see [`super::Rules`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PairingCode([u8; CHARACTERS]);

/// Why a text is no code. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pairing code has {CHARACTERS} letters and digits, like 4XK7-9MQ2")]
pub struct CodeError;

impl PairingCode {
    pub fn fresh() -> Result<PairingCode, TlsError> {
        // 256 is a multiple of 32, so the remainders are even.
        random::<CHARACTERS>().map(|bytes| PairingCode(bytes.map(|byte| ALPHABET[usize::from(byte % 32)])))
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.0
    }
}

/// The code itself: for the places that show it.
impl fmt::Display for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = str::from_utf8(&self.0).map_err(|_| fmt::Error)?;
        let (first, second) = text.split_at(GROUP);
        write!(f, "{first}-{second}")
    }
}

impl FromStr for PairingCode {
    type Err = CodeError;

    /// As people type it: small letters, with or without the dash, O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<PairingCode, CodeError> {
        let typed = text.chars().filter(|c| !matches!(c, '-' | ' ' | '\t' | '\r' | '\n'));
        let read = typed.map(|c| match c.to_ascii_uppercase() {
            'O' => Ok(b'0'),
            'I' | 'L' => Ok(b'1'),
            c => u8::try_from(c).ok().filter(|c| ALPHABET.contains(c)).ok_or(CodeError),
        });
        // One too many is enough to know.
        let read: Vec<u8> = read.take(CHARACTERS + 1).collect::<Result<_, _>>()?;
        read.try_into().map(PairingCode).map_err(|_| CodeError)
    }
}

impl From<PairingCode> for String {
    fn from(code: PairingCode) -> String {
        code.to_string()
    }
}

impl TryFrom<String> for PairingCode {
    type Error = CodeError;

    fn try_from(text: String) -> Result<PairingCode, CodeError> {
        text.parse()
    }
}

/// Never shows the code.
impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code: PairingCode = "4OK7-9MI2".parse().unwrap();
        assert_eq!(code.to_string(), "40K7-9M12");
        for typed in [" 40k79m12\n", "40K7 9ML2", "4ok7-9m12"] {
            assert_eq!(typed.parse(), Ok(code.clone()), "{typed:?}");
        }
        for none in ["", "40K7-9M1", "40K7-9M123", "40K7-9M1U", "40K7-9M1é", "--------"] {
            assert_eq!(none.parse::<PairingCode>(), Err(CodeError), "{none:?}");
        }
        assert_eq!(format!("{code:?}"), "PairingCode(..)");
    }

    #[test]
    fn fresh_codes_read_back_and_differ() {
        let (one, two) = (PairingCode::fresh().unwrap(), PairingCode::fresh().unwrap());
        assert_eq!(one.to_string().parse(), Ok(one.clone()));
        assert_ne!(one, two);
    }
}
