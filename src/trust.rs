//! The fleet's authority and this master's own identity, made at first use and kept in the data directory.
//!
//! Both files can be read by their owner alone; a file that others can read is refused.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bitacora_core::ids::NodeId;
use fleet_agent::net::{
    quic::ListenerKeys,
    tls::{Authority, Identity, NodeKey, Role, Roles, TlsError, Validity, private_file},
};

const AUTHORITY_FILE: &str = "authority.pem";
/// Nodes' clocks differ.
const EARLY: Duration = Duration::from_secs(15 * 60);
const AUTHORITY_SPAN: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Of the master's certificate and of its nodes'. They renew themselves, so that this is how long a stolen key is of use in
/// the worst case. Removal works at once all the same: who may connect is decided by the ledger, not by a date.
const CERTIFICATE_SPAN: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a master needs to be trusted.
pub struct Trust {
    pub authority: Arc<Authority>,
    pub identity: Identity,
    pub keys: ListenerKeys,
    /// The authority was made just now.
    pub is_new: bool,
}

impl Trust {
    pub fn load_or_create(folder: &Path, now: SystemTime) -> Result<Trust, TlsError> {
        let (authority, is_new) = match private_file::read(folder, AUTHORITY_FILE) {
            Err(TlsError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let authority = Authority::create("Bitácora fleet", validity(now, AUTHORITY_SPAN))?;
                private_file::write(folder, AUTHORITY_FILE, authority.to_pem().as_bytes())?;
                (authority, true)
            }
            read => (Authority::from_pem(&String::from_utf8_lossy(&read?))?, false),
        };
        let identity = master_identity(&authority, now)?;
        Ok(Trust { authority: Arc::new(authority), identity, keys: ListenerKeys::load_or_create(folder)?, is_new })
    }
}

/// A new key and certificate for this master; they are in no file.
pub fn master_identity(authority: &Authority, now: SystemTime) -> Result<Identity, TlsError> {
    let key = NodeKey::generate()?;
    let certificate = authority.sign(&key.request()?, NodeId::HERE, Roles::from(Role::Master), certificate_validity(now))?;
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
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn the_masters_certificate_is_due_in_its_last_third_and_a_new_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let first = Trust::load_or_create(folder.path(), now).unwrap();
        assert!(first.is_new);
        let due = |identity: &Identity, days: u32| identity.peer().is_due(now + DAY * days);
        assert_eq!([0, 19, 21, 31].map(|days| due(&first.identity, days)), [false, false, true, true]);
        let again = master_identity(&first.authority, now + DAY * 21).unwrap();
        assert_eq!([21, 40, 42].map(|days| due(&again, days)), [false, false, true]);
        assert_ne!(again.certificate(), first.identity.certificate());
        let reloaded = Trust::load_or_create(folder.path(), now + DAY * 50).unwrap();
        assert!(!reloaded.is_new && !due(&reloaded.identity, 50), "it is made anew at each start");
        assert_eq!(reloaded.authority.fingerprint(), first.authority.fingerprint());
    }
}
