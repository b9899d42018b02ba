//! The fleet's authority and this master's own identity, made at first use.
//!
//! The authority lies in the data directory and never in the clear: it is sealed with a passphrase, or with a key in a folder
//! apart, so that a copy of the data directory alone gives the fleet to nobody. A file that others can read is refused.

mod seal;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bitacora_core::ids::NodeId;
use fleet_agent::net::{
    quic::ListenerKeys,
    tls::{Authority, Fingerprint, Identity, NodeKey, Role, Roles, TlsError, Validity, private_file},
};
use zeroize::Zeroizing;

use self::seal::{KeyId, SealKey};
pub use self::seal::{Passphrase, SealError};

const SEALED_FILE: &str = "authority.sealed";
/// Of earlier versions: in the clear, and sealed when it is found.
const PLAIN_FILE: &str = "authority.pem";
/// Nodes' clocks differ.
const EARLY: Duration = Duration::from_secs(15 * 60);
const AUTHORITY_SPAN: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Of the master's certificate and of its nodes'. They renew themselves, so that this is how long a stolen key is of use in
/// the worst case. Removal works at once all the same: who may connect is decided by the ledger, not by a date.
const CERTIFICATE_SPAN: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("a key or certificate cannot be used")]
    Tls(#[from] TlsError),
    #[error("the fleet's authority cannot be sealed or opened")]
    Seal(#[from] SealError),
    #[error("the fleet's authority is sealed with a passphrase, which was not given")]
    PassphraseNeeded,
    #[error("the key {0}, which opens the fleet's authority, is not there")]
    KeyGone(PathBuf),
    #[error("{0} holds two authorities, {SEALED_FILE} and {PLAIN_FILE}; the one that is not the fleet's is to be moved away")]
    Two(PathBuf),
    #[error("{0} has another fleet's authority already")]
    Occupied(PathBuf),
    #[error("what was just sealed in {0} does not read back")]
    NotKept(PathBuf),
}

impl TrustError {
    /// Is it something that a person does not know or have?
    pub fn is_secret_wrong(&self) -> bool {
        matches!(self, TrustError::Seal(SealError::Passphrase | SealError::Key) | TrustError::PassphraseNeeded | TrustError::KeyGone(_))
    }
}

/// What opens a sealed authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// That lies apart from it.
    Key,
    Passphrase,
}

/// Where a data directory's authority lies, and apart from it the key that opens it.
#[derive(Clone, Debug)]
pub struct Safe {
    folder: PathBuf,
    keys: PathBuf,
}

impl Safe {
    pub fn new(folder: PathBuf, keys: PathBuf) -> Safe {
        Safe { folder, keys }
    }

    /// Is there any, sealed or in the clear?
    pub fn is_there(&self) -> Result<bool, TrustError> {
        Ok(self.sealed()?.is_some() || read(&self.folder, PLAIN_FILE)?.is_some())
    }

    /// What it takes to open it; `None` where nothing is sealed yet.
    pub fn protection(&self) -> Result<Option<Protection>, TrustError> {
        Ok(self.sealed()?.map(|sealed| if sealed.key.is_some() { Protection::Key } else { Protection::Passphrase }))
    }

    pub fn is_protected(&self) -> Result<bool, TrustError> {
        Ok(self.protection()? == Some(Protection::Passphrase))
    }

    /// The authority; `None` where there is none yet. One that lies in the clear is sealed. The passphrase is asked for nothing
    /// where a key opens it.
    pub fn open(&self, passphrase: Option<&Passphrase>) -> Result<Option<Authority>, TrustError> {
        let plain = read(&self.folder, PLAIN_FILE)?.map(|pem| authority(&pem)).transpose()?;
        let sealed = self.sealed()?.map(|sealed| self.unseal(&sealed, passphrase)).transpose();
        match (sealed, plain) {
            (Ok(None), None) => Ok(None),
            (Ok(Some(authority)), None) => Ok(Some(authority)),
            (Ok(Some(authority)), Some(plain)) if authority.fingerprint() != plain.fingerprint() => Err(TrustError::Two(self.folder.clone())),
            // It was sealed, and whoever did so ended before the other was gone.
            (Ok(Some(authority)), Some(_)) => {
                private_file::remove(&self.folder, PLAIN_FILE)?;
                Ok(Some(authority))
            }
            // The sealed one may be of no use for want of its key: the other is whole.
            (Ok(None) | Err(TrustError::KeyGone(_)), Some(plain)) => {
                self.keep(&plain, passphrase)?;
                Ok(Some(plain))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Seals it, with the passphrase or else with a new key. What was there before goes when this can be read again, so that
    /// there is one that opens at every moment.
    pub fn keep(&self, authority: &Authority, passphrase: Option<&Passphrase>) -> Result<(), TrustError> {
        let before = self.sealed()?.and_then(|sealed| sealed.key);
        let pem = Zeroizing::new(authority.to_pem());
        let sealed = match passphrase {
            Some(passphrase) => seal::with_passphrase(pem.as_bytes(), passphrase)?,
            None => {
                let key = SealKey::fresh()?;
                private_file::write(&self.keys, &key.id.file_name(), key.as_bytes())?;
                seal::with_key(pem.as_bytes(), &key)?
            }
        };
        private_file::write(&self.folder, SEALED_FILE, &sealed)?;
        let sealed = self.sealed()?.ok_or_else(|| TrustError::NotKept(self.folder.clone()))?;
        if self.unseal(&sealed, passphrase)?.fingerprint() != authority.fingerprint() {
            return Err(TrustError::NotKept(self.folder.clone()));
        }
        private_file::remove(&self.folder, PLAIN_FILE)?;
        before.map_or(Ok(()), |key| Ok(private_file::remove(&self.keys, &key.file_name())?))
    }

    /// An authority from elsewhere may come here: there is none, or it is the same.
    pub fn check_room(&self, fingerprint: Fingerprint) -> Result<(), TrustError> {
        // Whose a protected one is can only be said by whoever knows its passphrase.
        let is_other = self.is_protected()? || self.open(None)?.is_some_and(|present| present.fingerprint() != fingerprint);
        if is_other { Err(TrustError::Occupied(self.folder.clone())) } else { Ok(()) }
    }

    fn sealed(&self) -> Result<Option<Sealed>, TrustError> {
        let Some(bytes) = read(&self.folder, SEALED_FILE)? else { return Ok(None) };
        Ok(Some(Sealed { key: seal::key_of(&bytes)?, bytes: bytes.to_vec() }))
    }

    fn unseal(&self, Sealed { bytes: sealed, key }: &Sealed, passphrase: Option<&Passphrase>) -> Result<Authority, TrustError> {
        let pem = match key {
            None => seal::open_with_passphrase(sealed, passphrase.ok_or(TrustError::PassphraseNeeded)?)?,
            Some(id) => {
                let gone = || TrustError::KeyGone(self.keys.join(id.file_name()));
                let bytes = read(&self.keys, &id.file_name())?.ok_or_else(gone)?;
                seal::open_with_key(sealed, &SealKey::from_bytes(*id, &bytes).ok_or(SealError::Key)?)?
            }
        };
        authority(&pem)
    }
}

/// An authority as it lies in its file, and what opens it if that is a key.
struct Sealed {
    bytes: Vec<u8>,
    key: Option<KeyId>,
}

/// `None` where there is none.
fn read(folder: &Path, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, TrustError> {
    match private_file::read(folder, name) {
        Err(TlsError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        read => Ok(Some(Zeroizing::new(read?))),
    }
}

fn authority(pem: &[u8]) -> Result<Authority, TrustError> {
    Ok(Authority::from_pem(std::str::from_utf8(pem).map_err(|_| TlsError::AuthorityPem)?)?)
}

/// An authority on its way to another device, for whoever knows the passphrase.
pub fn pack(authority: &Authority, passphrase: &Passphrase) -> Result<Vec<u8>, SealError> {
    seal::with_passphrase(Zeroizing::new(authority.to_pem()).as_bytes(), passphrase)
}

/// What [`pack`] packed.
pub fn unpack(packed: &[u8], passphrase: &Passphrase) -> Result<Authority, TrustError> {
    authority(&seal::open_with_passphrase(packed, passphrase)?)
}

/// What a master needs to be trusted.
pub struct Trust {
    pub authority: Arc<Authority>,
    pub identity: Identity,
    pub keys: ListenerKeys,
    /// The authority was made just now.
    pub is_new: bool,
}

impl Trust {
    /// A new authority is sealed with the passphrase, if there is one.
    pub fn load_or_create(safe: &Safe, now: SystemTime, passphrase: Option<&Passphrase>) -> Result<Trust, TrustError> {
        let (authority, is_new) = match safe.open(passphrase)? {
            Some(authority) => (authority, false),
            None => {
                let authority = Authority::create("Bitácora fleet", validity(now, AUTHORITY_SPAN))?;
                safe.keep(&authority, passphrase)?;
                (authority, true)
            }
        };
        let identity = master_identity(&authority, now)?;
        Ok(Trust { authority: Arc::new(authority), identity, keys: ListenerKeys::load_or_create(&safe.folder)?, is_new })
    }
}

/// A new key and certificate for this master; they are in no file.
pub fn master_identity(authority: &Authority, now: SystemTime) -> Result<Identity, TlsError> {
    identity(authority, NodeId::HERE, Role::Master, now)
}

/// The same for the agent of this machine, which is given them by its master.
pub fn resident_identity(authority: &Authority, node: NodeId, now: SystemTime) -> Result<Identity, TlsError> {
    identity(authority, node, Role::Worker, now)
}

fn identity(authority: &Authority, node: NodeId, role: Role, now: SystemTime) -> Result<Identity, TlsError> {
    let key = NodeKey::generate()?;
    let certificate = authority.sign(&key.request()?, node, Roles::from(role), certificate_validity(now))?;
    Identity::new(key, certificate, authority.certificate().clone())
}

/// Of a certificate that is signed now.
pub fn certificate_validity(now: SystemTime) -> Validity {
    validity(now, CERTIFICATE_SPAN)
}

fn validity(now: SystemTime, span: Duration) -> Validity {
    Validity { not_before: now - EARLY, span: span + EARLY }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn safe() -> (tempfile::TempDir, Safe) {
        let folder = tempfile::tempdir().unwrap();
        let safe = Safe::new(folder.path().join("trust"), folder.path().join("keys"));
        (folder, safe)
    }

    fn load(safe: &Safe, passphrase: Option<&Passphrase>) -> Result<Trust, TrustError> {
        Trust::load_or_create(safe, SystemTime::now(), passphrase)
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default()
    }

    #[test]
    fn the_masters_certificate_is_due_in_its_last_third_and_a_new_one_is_not() {
        let (_folder, safe) = safe();
        let now = SystemTime::now();
        let first = Trust::load_or_create(&safe, now, None).unwrap();
        assert!(first.is_new);
        let due = |identity: &Identity, days: u32| identity.peer().is_due(now + DAY * days);
        assert_eq!([0, 19, 21, 31].map(|days| due(&first.identity, days)), [false, false, true, true]);
        let again = master_identity(&first.authority, now + DAY * 21).unwrap();
        assert_eq!([21, 40, 42].map(|days| due(&again, days)), [false, false, true]);
        assert_ne!(again.certificate(), first.identity.certificate());
        let reloaded = Trust::load_or_create(&safe, now + DAY * 50, None).unwrap();
        assert!(!reloaded.is_new && !due(&reloaded.identity, 50), "it is made anew at each start");
        assert_eq!(reloaded.authority.fingerprint(), first.authority.fingerprint());
    }

    #[test]
    fn the_data_directory_alone_opens_nothing() {
        let (_folder, safe) = safe();
        load(&safe, None).unwrap();
        for file in files(&safe.folder) {
            let bytes = fs::read(&file).unwrap();
            assert!(!bytes.windows(11).any(|part| part == b"PRIVATE KEY"), "{}", file.display());
        }
        fs::rename(&safe.keys, safe.keys.with_extension("elsewhere")).unwrap();
        let error = load(&safe, None).err().unwrap();
        assert!(matches!(error, TrustError::KeyGone(_)) && error.is_secret_wrong(), "and no new authority is made: {error}");
    }

    /// What is on the disk at each moment at which a process that seals a plain authority may be killed.
    #[test]
    fn a_plain_authority_is_sealed_and_never_lost_on_the_way() {
        let (_folder, safe) = safe();
        let made = Authority::create("old", validity(SystemTime::now(), DAY)).unwrap();
        let plain = || private_file::write(&safe.folder, PLAIN_FILE, made.to_pem().as_bytes()).unwrap();
        let settled = |why: &str| {
            assert_eq!(load(&safe, None).unwrap().authority.fingerprint(), made.fingerprint(), "{why}");
            assert!(!safe.folder.join(PLAIN_FILE).exists(), "{why}");
            assert_eq!(load(&safe, None).unwrap().authority.fingerprint(), made.fingerprint(), "{why}, and again");
        };
        plain();
        settled("nothing was done yet");
        fs::remove_file(safe.folder.join(SEALED_FILE)).unwrap();
        plain();
        settled("a key was written and nothing sealed with it");
        plain();
        settled("it was sealed and the plain one not removed");
        files(&safe.keys).into_iter().for_each(|key| fs::remove_file(key).unwrap());
        plain();
        settled("the key was lost and the plain one not");
        fs::write(safe.folder.join(format!("{SEALED_FILE}.new")), b"half").unwrap();
        settled("the next one was half written");
    }

    #[test]
    fn two_authorities_are_a_persons_to_choose_from() {
        let (_folder, safe) = safe();
        load(&safe, None).unwrap();
        let other = Authority::create("other", validity(SystemTime::now(), DAY)).unwrap();
        private_file::write(&safe.folder, PLAIN_FILE, other.to_pem().as_bytes()).unwrap();
        assert!(matches!(load(&safe, None), Err(TrustError::Two(_))));
        assert!(safe.folder.join(PLAIN_FILE).exists());
    }

    #[test]
    fn a_passphrase_takes_the_place_of_the_key_and_the_key_that_of_the_passphrase() {
        let (_folder, safe) = safe();
        let fingerprint = load(&safe, None).unwrap().authority.fingerprint();
        let (right, wrong) = (passphrase("right"), passphrase("wrong"));
        safe.keep(&safe.open(None).unwrap().unwrap(), Some(&right)).unwrap();
        assert!(safe.is_protected().unwrap() && files(&safe.keys).is_empty(), "its key is gone");
        assert!(matches!(load(&safe, None), Err(TrustError::PassphraseNeeded)), "and no new one is made");
        assert!(load(&safe, Some(&wrong)).err().unwrap().is_secret_wrong());
        let trust = load(&safe, Some(&right)).unwrap();
        assert_eq!(trust.authority.fingerprint(), fingerprint);
        assert!(matches!(safe.check_room(fingerprint), Err(TrustError::Occupied(_))));
        safe.keep(&trust.authority, None).unwrap();
        assert_eq!(load(&safe, None).unwrap().authority.fingerprint(), fingerprint);
        safe.check_room(fingerprint).unwrap();
        assert!(matches!(safe.check_room(Fingerprint([0; 32])), Err(TrustError::Occupied(_))));
    }

    #[test]
    fn a_new_authority_is_protected_from_its_first_moment() {
        let (_folder, safe) = safe();
        let right = passphrase("right");
        assert!(load(&safe, Some(&right)).unwrap().is_new && safe.is_protected().unwrap());
        assert!(files(&safe.keys).is_empty());
    }
}
