//! The fleet's authority and this master's own identity, made at first use and kept in the data directory.
//!
//! Both files can be read by their owner alone; a file that others can read is refused.

use std::{
    path::Path,
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
/// Until renewal is built a node's certificate lasts as long as a person may leave a fleet alone. Removal works at once
/// all the same: who may connect is decided by the ledger, not by a date.
const NODE_SPAN: Duration = Duration::from_secs(365 * 24 * 3600);
/// The master's own is made anew at each start.
const MASTER_SPAN: Duration = Duration::from_secs(400 * 24 * 3600);

/// What a master needs to be trusted.
pub struct Trust {
    pub authority: Authority,
    pub identity: Identity,
    pub keys: ListenerKeys,
    /// The authority was made just now.
    pub is_new: bool,
}

impl Trust {
    pub fn load_or_create(folder: &Path) -> Result<Trust, TlsError> {
        let (authority, is_new) = match private_file::read(folder, AUTHORITY_FILE) {
            Err(TlsError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let authority = Authority::create("Bitácora fleet", validity(AUTHORITY_SPAN))?;
                private_file::write(folder, AUTHORITY_FILE, authority.to_pem().as_bytes())?;
                (authority, true)
            }
            read => (Authority::from_pem(&String::from_utf8_lossy(&read?))?, false),
        };
        let key = NodeKey::generate()?;
        let certificate = authority.sign(&key.request()?, NodeId::HERE, Roles::from(Role::Master), validity(MASTER_SPAN))?;
        let identity = Identity::new(key, certificate, authority.certificate().clone())?;
        Ok(Trust { authority, identity, keys: ListenerKeys::load_or_create(folder)?, is_new })
    }
}

/// Of a worker's certificate that is signed now.
pub fn node_validity() -> Validity {
    validity(NODE_SPAN)
}

fn validity(span: Duration) -> Validity {
    Validity { not_before: SystemTime::now() - EARLY, span: span + EARLY }
}
