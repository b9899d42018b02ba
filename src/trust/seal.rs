//! A secret in a file that is worth nothing by itself: XChaCha20-Poly1305, whose key lies elsewhere or is made of a passphrase.
//!
//! ```text
//! "BITSEAL1" | memory KiB u32 | passes u32 | lanes u32 | salt 16 | nonce 24 | the bytes, encrypted, and their tag 16
//! ```
//!
//! Numbers are little-endian and say what argon2id makes the key with; three zeros say that the key is kept in a file of its
//! own, whose name is the salt. Everything before the bytes is authenticated with them, so that nobody can ask for a cheaper
//! key. Nothing is opened whose price is beyond a limit: the file may be anybody's.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use fleet_agent::net::tls::{TlsError, random};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"BITSEAL1";
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + 3 * 4 + SALT_BYTES + NONCE_BYTES;
/// Half a second on a phone, and what it can spare.
const COST: Cost = Cost { memory_kib: 64 << 10, passes: 3, lanes: 1 };
/// What a file may ask for before it is known whose it is.
const COST_MAX: Cost = Cost { memory_kib: 1 << 20, passes: 16, lanes: 16 };
/// No passphrase: the key is in a file.
const FREE: Cost = Cost { memory_kib: 0, passes: 0, lanes: 0 };

#[derive(Clone, Copy, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// What a person knows. Never shown, and gone from memory when it is dropped.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// None that is empty.
    pub fn new(text: Zeroizing<String>) -> Option<Passphrase> {
        (!text.is_empty()).then_some(Passphrase(text))
    }

    pub fn chars(&self) -> usize {
        self.0.chars().count()
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Passphrase) -> bool {
        *self.0 == *other.0
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Names a key that is kept in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyId([u8; SALT_BYTES]);

/// A key that is kept in a file, for one seal.
pub(super) struct SealKey {
    pub(super) id: KeyId,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl SealKey {
    pub(super) fn fresh() -> Result<SealKey, SealError> {
        Ok(SealKey { id: KeyId(random()?), key: Zeroizing::new(random()?) })
    }

    /// From what its file holds.
    pub(super) fn from_bytes(id: KeyId, bytes: &[u8]) -> Option<SealKey> {
        Some(SealKey { id, key: Zeroizing::new(bytes.try_into().ok()?) })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.key.as_slice()
    }
}

impl KeyId {
    pub(super) fn file_name(self) -> String {
        format!("authority-{:032x}.key", u128::from_be_bytes(self.0))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("it is not sealed, or was cut")]
    Shape,
    #[error("it asks for more memory or time than a seal takes")]
    Cost,
    #[error("the passphrase does not open it, or it was changed")]
    Passphrase,
    #[error("the key does not open it, or it was changed")]
    Key,
    #[error("it is sealed in another way")]
    Kind,
    #[error("no key can be made of the passphrase: {0}")]
    Derive(argon2::Error),
    #[error(transparent)]
    Random(#[from] TlsError),
}

pub(super) fn with_passphrase(secret: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, SealError> {
    let salt = random()?;
    seal(secret, COST, salt, &*derive(COST, &salt, passphrase)?)
}

pub(super) fn with_key(secret: &[u8], key: &SealKey) -> Result<Vec<u8>, SealError> {
    seal(secret, FREE, key.id.0, &key.key)
}

/// The key that opens it; `None` if a passphrase does.
pub(super) fn key_of(sealed: &[u8]) -> Result<Option<KeyId>, SealError> {
    let header = Header::of(sealed)?;
    Ok((header.cost == FREE).then_some(KeyId(header.salt)))
}

pub(super) fn open_with_passphrase(sealed: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let header = Header::of(sealed)?;
    if header.cost == FREE {
        return Err(SealError::Kind);
    }
    let key = derive(header.cost, &header.salt, passphrase)?;
    open(sealed, &header, &key).ok_or(SealError::Passphrase)
}

pub(super) fn open_with_key(sealed: &[u8], key: &SealKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let header = Header::of(sealed)?;
    if header.cost != FREE {
        return Err(SealError::Kind);
    }
    open(sealed, &header, &key.key).ok_or(SealError::Key)
}

/// Everything before the bytes.
struct Header {
    cost: Cost,
    salt: [u8; SALT_BYTES],
    nonce: [u8; NONCE_BYTES],
}

impl Header {
    fn of(sealed: &[u8]) -> Result<Header, SealError> {
        let (header, _) = sealed.split_first_chunk::<HEADER_BYTES>().ok_or(SealError::Shape)?;
        let rest = header.strip_prefix(MAGIC).ok_or(SealError::Shape)?;
        let (numbers, rest) = rest.split_at(3 * 4);
        let number = |at: usize| u32::from_le_bytes(numbers[4 * at..4 * at + 4].try_into().expect("four bytes of twelve"));
        let cost = Cost { memory_kib: number(0), passes: number(1), lanes: number(2) };
        if cost.memory_kib > COST_MAX.memory_kib || cost.passes > COST_MAX.passes || cost.lanes > COST_MAX.lanes {
            return Err(SealError::Cost);
        }
        let (salt, nonce) = rest.split_at(SALT_BYTES);
        let whole = "the header has its length";
        Ok(Header { cost, salt: salt.try_into().expect(whole), nonce: nonce.try_into().expect(whole) })
    }
}

fn seal(secret: &[u8], cost: Cost, salt: [u8; SALT_BYTES], key: &[u8; KEY_BYTES]) -> Result<Vec<u8>, SealError> {
    let nonce: [u8; NONCE_BYTES] = random()?;
    let mut sealed = MAGIC.to_vec();
    for number in [cost.memory_kib, cost.passes, cost.lanes] {
        sealed.extend(number.to_le_bytes());
    }
    sealed.extend(salt);
    sealed.extend(nonce);
    let payload = Payload { msg: secret, aad: &sealed };
    let bytes = XChaCha20Poly1305::new(&(*key).into()).encrypt(&XNonce::from(nonce), payload).expect("what is in memory is not too long for the cipher");
    sealed.extend(bytes);
    Ok(sealed)
}

fn open(sealed: &[u8], header: &Header, key: &[u8; KEY_BYTES]) -> Option<Zeroizing<Vec<u8>>> {
    let (aad, msg) = sealed.split_at(HEADER_BYTES);
    XChaCha20Poly1305::new(&(*key).into()).decrypt(&XNonce::from(header.nonce), Payload { msg, aad }).ok().map(Zeroizing::new)
}

fn derive(cost: Cost, salt: &[u8], Passphrase(passphrase): &Passphrase) -> Result<Zeroizing<[u8; KEY_BYTES]>, SealError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES)).map_err(SealError::Derive)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(passphrase.as_bytes(), salt, &mut *key).map_err(SealError::Derive)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn only_the_passphrase_opens_it() {
        let right = passphrase("correct horse");
        let sealed = with_passphrase(b"the key", &right).unwrap();
        assert_eq!(**open_with_passphrase(&sealed, &right).unwrap(), *b"the key");
        assert!(matches!(open_with_passphrase(&sealed, &passphrase("correct horse ")), Err(SealError::Passphrase)));
        assert!(!sealed.windows(7).any(|window| window == b"the key"));
        assert_ne!(with_passphrase(b"the key", &right).unwrap(), sealed, "no two are alike");
        assert_eq!((format!("{right:?}").as_str(), key_of(&sealed).unwrap()), ("Passphrase(..)", None));
    }

    #[test]
    fn only_its_key_opens_it() {
        let (key, other) = (SealKey::fresh().unwrap(), SealKey::fresh().unwrap());
        let sealed = with_key(b"the key", &key).unwrap();
        assert_eq!(key_of(&sealed).unwrap(), Some(key.id));
        let again = SealKey::from_bytes(key.id, key.as_bytes()).unwrap();
        assert_eq!(**open_with_key(&sealed, &again).unwrap(), *b"the key");
        assert!(matches!(open_with_key(&sealed, &other), Err(SealError::Key)));
        assert!(matches!(open_with_passphrase(&sealed, &passphrase("x")), Err(SealError::Kind)));
        assert!(SealKey::from_bytes(key.id, b"short").is_none());
    }

    #[test]
    fn what_was_changed_or_cut_or_asks_for_too_much_is_refused() {
        let right = passphrase("x");
        let sealed = with_passphrase(b"the key", &right).unwrap();
        // The numbers of the header too: one pass more, one KiB less.
        for at in [8, 12, 20, 36, HEADER_BYTES, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(matches!(open_with_passphrase(&changed, &right), Err(SealError::Passphrase)), "{at}");
        }
        for length in [0, 7, HEADER_BYTES - 1] {
            assert!(matches!(open_with_passphrase(&sealed[..length], &right), Err(SealError::Shape)), "{length}");
        }
        assert!(matches!(open_with_passphrase(&sealed[..HEADER_BYTES + 3], &right), Err(SealError::Passphrase)));
        let mut dear = sealed;
        dear[11] = 0xff;
        assert!(matches!(open_with_passphrase(&dear, &right), Err(SealError::Cost)));
    }
}
