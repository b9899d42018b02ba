//! A node makes itself known.

use std::time::Duration;

use mdns_sd::{ServiceDaemon, ServiceInfo};

use super::{DiscoveryError, FLEET_KEY, KEY_ID_KEY, KeyId, Member, NAME_KEY, NODE_KEY, PROTOCOL_KEY, SERVICE, STATE_KEY, State, Surroundings, insist};
use crate::net::codec::{MAJOR, MINOR};

/// For the goodbye; whoever misses it forgets the node two minutes later.
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// Says a node's name on every interface, and goodbye when dropped.
pub struct Announcement {
    daemon: ServiceDaemon,
    name: String,
    key: KeyId,
    said: Option<String>,
}

impl Announcement {
    pub fn new(name: String, key: KeyId) -> Result<Announcement, DiscoveryError> {
        Ok(Announcement { daemon: ServiceDaemon::new()?, name, key, said: None })
    }

    /// For as long as this goes on: to be heard of others by the same means.
    pub fn surroundings(&self, fleet: KeyId) -> Surroundings {
        Surroundings::new(self.daemon.clone(), fleet)
    }

    /// From now on this is what is told to everybody. The port is where it waits to be paired, or called; 0 where it does neither.
    pub fn say(&mut self, state: State, port: u16) -> Result<(), DiscoveryError> {
        // By the key and not by the name, which another node may have; the library would number them.
        let instance = format!("bitacora-{}", self.key);
        let (key, protocol) = (self.key.to_string(), format!("{MAJOR}.{MINOR}"));
        let mut properties = vec![(NAME_KEY, self.name.clone()), (KEY_ID_KEY, key), (STATE_KEY, state.name().to_owned()), (PROTOCOL_KEY, protocol)];
        match state {
            State::Paired(Some(Member { fleet, node })) => properties.extend([(FLEET_KEY, fleet.to_string()), (NODE_KEY, node.0.to_string())]),
            State::Master(fleet) => properties.push((FLEET_KEY, fleet.to_string())),
            State::Unpaired | State::Paired(None) => {}
        }
        let service = ServiceInfo::new(SERVICE, &instance, &format!("{instance}.local."), (), port, &properties[..])?.enable_addr_auto();
        let fullname = service.get_fullname().to_owned();
        insist(|| self.daemon.register(service.clone()))?;
        self.said = Some(fullname);
        Ok(())
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // None of this need succeed: what is announced is forgotten in time.
        if let Some(said) = self.said.take()
            && let Ok(done) = insist(|| self.daemon.unregister(&said))
        {
            let _ = done.recv_timeout(GOODBYE_MAX);
        }
        if let Ok(done) = insist(|| self.daemon.shutdown()) {
            let _ = done.recv_timeout(GOODBYE_MAX);
        }
    }
}
