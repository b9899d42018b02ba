//! SPAKE2 over the code, tied to one TLS session, and the confirmations that come of it.
//!
//! The names of the two sides carry keying material of the session: through somebody in the middle, who has a session with
//! each side, the two come to different keys though both know the code. Each confirmation has a key of its own, so that none
//! can be sent back as another.

use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use spake2::{Ed25519Group, Identity, Password, Spake2};

use super::PairingCode;
use crate::net::carrier::Material;

const MASTER_NAME: &[u8] = b"bitacora-pair/1 master ";
const AGENT_NAME: &[u8] = b"bitacora-pair/1 agent ";

const KNOWS_CONTEXT: &str = "bitacora 2026-11-21 pairing: the master knows the code";
const ASKS_CONTEXT: &str = "bitacora 2026-11-21 pairing: the agent knows it too and asks";
const GIVES_CONTEXT: &str = "bitacora 2026-11-21 pairing: the master gives";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Master,
    Agent,
}

/// One side's half of the exchange: good once.
pub(super) struct Half {
    spake: Spake2<Ed25519Group>,
}

/// What both sides have if both know the code.
#[derive(Clone)]
pub(super) struct Keys {
    knows: [u8; 32],
    asks: [u8; 32],
    gives: [u8; 32],
}

/// The half, and what the other side is sent of it, which tells nothing of the code.
pub(super) fn begin(side: Side, code: &PairingCode, session: &Material) -> (Half, Vec<u8>) {
    let (master, agent) = (Identity::new(&[MASTER_NAME, session].concat()), Identity::new(&[AGENT_NAME, session].concat()));
    let password = Password::new(code.secret());
    let (spake, point) = match side {
        Side::Master => Spake2::start_a(&password, &master, &agent),
        Side::Agent => Spake2::start_b(&password, &master, &agent),
    };
    (Half { spake }, point)
}

impl Half {
    /// `None` when the other side sent no point of the curve, or our own back.
    pub(super) fn finish(self, theirs: &[u8]) -> Option<Keys> {
        let shared = self.spake.finish(theirs).ok()?;
        let key = |context| blake3::derive_key(context, &shared);
        Some(Keys { knows: key(KNOWS_CONTEXT), asks: key(ASKS_CONTEXT), gives: key(GIVES_CONTEXT) })
    }
}

impl Keys {
    /// The master knows the code.
    pub(super) fn knows(&self) -> blake3::Hash {
        blake3::keyed_hash(&self.knows, b"")
    }

    /// The agent knows it too and, under this name, asks for this.
    pub(super) fn asks(&self, name: &str, request: &CertificateSigningRequestDer<'_>) -> blake3::Hash {
        over(&self.asks, [name.as_bytes(), request])
    }

    /// The master gives these in answer to that request.
    pub(super) fn gives(
        &self,
        request: &CertificateSigningRequestDer<'_>,
        certificate: &CertificateDer<'_>,
        authority: &CertificateDer<'_>,
        addresses: &[String],
    ) -> blake3::Hash {
        over(&self.gives, [request.as_ref(), certificate.as_ref(), authority.as_ref(), addresses.join("\n").as_bytes()])
    }
}

/// Each part by its hash, so that no two lists of parts make the same bytes.
fn over<const PARTS: usize>(key: &[u8; 32], parts: [&[u8]; PARTS]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(blake3::hash(part).as_bytes());
    }
    hasher.finalize()
}

/// Compares in a time that does not depend on where they differ, as [`blake3::Hash`] does.
pub(super) fn fits(expected: blake3::Hash, presented: &[u8]) -> bool {
    <[u8; 32]>::try_from(presented).is_ok_and(|presented| expected == presented)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(code: [&str; 2], session: [u8; 2]) -> [Keys; 2] {
        let half = |side, code: &str, session| begin(side, &code.parse().unwrap(), &[session; 32]);
        let (master, agent) = (half(Side::Master, code[0], session[0]), half(Side::Agent, code[1], session[1]));
        [master.0.finish(&agent.1).unwrap(), agent.0.finish(&master.1).unwrap()]
    }

    #[test]
    fn only_the_same_code_in_the_same_session_makes_the_same_keys() {
        let agree = |[one, two]: [Keys; 2]| fits(one.knows(), two.knows().as_bytes());
        assert!(agree(keys(["0000-0000"; 2], [7; 2])));
        assert!(!agree(keys(["0000-0000", "0000-0001"], [7; 2])));
        assert!(!agree(keys(["0000-0000"; 2], [7, 8])), "somebody in the middle");
    }

    #[test]
    fn nonsense_and_our_own_point_are_refused() {
        let begin = || begin(Side::Master, &"0000-0000".parse().unwrap(), &[7; 32]);
        let (half, own) = begin();
        assert!(half.finish(&own).is_none());
        for nonsense in [&[][..], &[0x42; 7], &[0x42; 40]] {
            assert!(begin().0.finish(nonsense).is_none());
        }
    }

    #[test]
    fn no_confirmation_stands_for_another() {
        let [keys, _] = keys(["0000-0000"; 2], [7; 2]);
        let (request, certificate) = (vec![1].into(), vec![2].into());
        let asks = keys.asks("a", &request);
        assert_ne!(asks, keys.asks("b", &request));
        assert_ne!(asks, keys.knows());
        let gives = |addresses: &[String]| keys.gives(&request, &certificate, &certificate, addresses);
        assert_ne!(gives(&[]), gives(&["127.0.0.1:1".into()]));
    }
}
