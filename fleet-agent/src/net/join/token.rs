//! The token: one line of text, shown once, good once.
//!
//! `bita1-`, or `bito1-` where it is for a person's device, and 104 hexadecimal digits: 16 bytes of secret, 32 bytes of the authority's fingerprint, 4 bytes of checksum.
//! The master keeps an id and two keys that are derived from the secret, and not the secret.

use std::{fmt, str::FromStr};

use bitacora_core::ids::TokenId;

use crate::net::tls::{Fingerprint, TlsError, random};

const SECRET_BYTES: usize = 16;
const FINGERPRINT_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;
const TOKEN_BYTES: usize = SECRET_BYTES + FINGERPRINT_BYTES + CHECKSUM_BYTES;
const DIGITS: usize = TOKEN_BYTES * 2;

const ID_CONTEXT: &str = "bitacora 2026-11-21 join token id";
const AGENT_CONTEXT: &str = "bitacora 2026-11-21 join proof of the agent";
const MASTER_CONTEXT: &str = "bitacora 2026-11-21 join proof of the master";
const CHECKSUM_CONTEXT: &str = "bitacora 2026-11-21 join token checksum";

/// Who is to join by a token. The master knows by itself what each token is worth: this is so that none is spent by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Node,
    /// With a device to command the fleet from.
    Person,
}

impl Holder {
    const ALL: [Holder; 2] = [Holder::Node, Holder::Person];

    const fn prefix(self) -> &'static str {
        match self {
            Holder::Node => "bita1-",
            Holder::Person => "bito1-",
        }
    }
}

/// What an agent needs to join: a secret, and by what to recognise its master.
#[derive(Clone)]
pub struct JoinToken {
    holder: Holder,
    secret: [u8; SECRET_BYTES],
    authority: Fingerprint,
}

/// What the master keeps of a token to check proofs and to make its own.
#[derive(Clone)]
pub struct TokenKey {
    pub(super) agent: [u8; 32],
    pub(super) master: [u8; 32],
}

/// Why a text is no token. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("a join token starts with {} or {}", Holder::Node.prefix(), Holder::Person.prefix())]
    Prefix,
    #[error("a join token has {DIGITS} digits after its first word, this one {0}")]
    Length(usize),
    #[error("a join token has only the digits 0 to 9 and a to f after its first word")]
    Digit,
    #[error("the join token was mistyped or cut: its checksum differs")]
    Checksum,
}

impl JoinToken {
    /// A new one, for nodes that shall trust `authority`.
    pub fn issue(authority: Fingerprint) -> Result<JoinToken, TlsError> {
        JoinToken::issue_for(Holder::Node, authority)
    }

    pub fn issue_for(holder: Holder, authority: Fingerprint) -> Result<JoinToken, TlsError> {
        Ok(JoinToken { holder, secret: random()?, authority })
    }

    pub fn holder(&self) -> Holder {
        self.holder
    }

    pub fn authority(&self) -> Fingerprint {
        self.authority
    }

    pub fn id(&self) -> TokenId {
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = blake3::derive_key(ID_CONTEXT, &self.secret);
        TokenId(id)
    }

    pub fn key(&self) -> TokenKey {
        TokenKey { agent: blake3::derive_key(AGENT_CONTEXT, &self.secret), master: blake3::derive_key(MASTER_CONTEXT, &self.secret) }
    }

    fn checksum(&self) -> [u8; CHECKSUM_BYTES] {
        let mut hasher = blake3::Hasher::new_derive_key(CHECKSUM_CONTEXT);
        let [c0, c1, c2, c3, ..] = *hasher.update(&self.secret).update(&self.authority.0).finalize().as_bytes();
        [c0, c1, c2, c3]
    }
}

/// The token itself, secret and all: for the one place that shows it.
impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.holder.prefix())?;
        let checksum = self.checksum();
        self.secret.iter().chain(&self.authority.0).chain(&checksum).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    /// White space around it is ignored: it comes from a file or a pipe.
    fn from_str(text: &str) -> Result<JoinToken, TokenError> {
        let known = Holder::ALL.into_iter().find_map(|holder| Some((holder, text.trim().strip_prefix(holder.prefix())?)));
        let (holder, digits) = known.map(|(holder, digits)| (holder, digits.as_bytes())).ok_or(TokenError::Prefix)?;
        if digits.len() != DIGITS {
            return Err(TokenError::Length(digits.len()));
        }
        let mut bytes = [0; TOKEN_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        let (secret, rest) = bytes.split_first_chunk().expect("52 bytes begin with 16");
        let (authority, checksum) = rest.split_first_chunk().expect("36 bytes begin with 32");
        let token = JoinToken { holder, secret: *secret, authority: Fingerprint(*authority) };
        if token.checksum() == checksum { Ok(token) } else { Err(TokenError::Checksum) }
    }
}

fn digit(digit: u8) -> Result<u8, TokenError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(TokenError::Digit),
    }
}

/// Never shows the secret.
impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// For a ledger that keeps tokens over restarts; as secret as the token.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.agent);
        bytes[32..].copy_from_slice(&self.master);
        bytes
    }

    pub fn from_bytes(bytes: &[u8; 64]) -> TokenKey {
        let (agent, master) = bytes.split_at(32);
        TokenKey { agent: agent.try_into().expect("half of 64 is 32"), master: master.try_into().expect("half of 64 is 32") }
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken { holder: Holder::Node, secret: *b"sixteen  secrets", authority: Fingerprint([7; 32]) }
    }

    #[test]
    fn text_reads_back_and_stays_as_it_is() {
        let text = token().to_string();
        assert_eq!(text, "bita1-7369787465656e2020736563726574730707070707070707070707070707070707070707070707070707070707070707dd73af33");
        let again: JoinToken = format!(" {text}\n").parse().unwrap();
        assert_eq!((again.secret, again.authority, again.holder), (token().secret, token().authority, Holder::Node));
        let person: JoinToken = text.replace("bita1-", "bito1-").parse().unwrap();
        assert_eq!((person.holder, person.to_string()), (Holder::Person, text.replace("bita1-", "bito1-")));
    }

    #[test]
    fn every_changed_digit_is_noticed() {
        let text = token().to_string();
        for index in Holder::Node.prefix().len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'0' { b'1' } else { b'0' };
            assert_eq!(String::from_utf8(changed).unwrap().parse::<JoinToken>().unwrap_err(), TokenError::Checksum);
        }
    }

    #[test]
    fn other_texts_are_refused_by_name() {
        let text = token().to_string();
        for (text, error) in [
            ("", TokenError::Prefix),
            ("bita2-00", TokenError::Prefix),
            (&text[..text.len() - 2], TokenError::Length(102)),
            (&text.to_uppercase().replace("BITA1-", Holder::Node.prefix()), TokenError::Digit),
        ] {
            assert_eq!(text.parse::<JoinToken>().unwrap_err(), error);
        }
    }

    #[test]
    fn nothing_shows_the_secret_by_accident() {
        let shown = format!("{:?} {:?} {}", token(), token().key(), token().id());
        assert!(!shown.contains("7369787465") && !shown.contains("sixteen"), "{shown}");
    }
}
