//! Where the masters of a fleet say that they are, looked for only while none of them answers where it was.
//!
//! Anybody can say so: whoever dials there finds out by the certificates who it is.

use std::net::SocketAddr;

use mdns_sd::ServiceDaemon;

use super::{KeyId, State, Watch};

/// Addresses that are tried besides those that are known, and of one master: whoever announces many keeps no other from being tried.
const ADDRESSES_MAX: usize = 8;
const OF_ONE_MAX: usize = 2;

/// What a node that has no link can hear.
pub struct Surroundings {
    daemon: ServiceDaemon,
    fleet: KeyId,
    watch: Option<Watch>,
}

impl Surroundings {
    pub(super) fn new(daemon: ServiceDaemon, fleet: KeyId) -> Surroundings {
        Surroundings { daemon, fleet, watch: None }
    }

    /// No master answers: from now on it is heard where one is. A network that cannot be listened to is as good as a silent one.
    pub fn look(&mut self) {
        if self.watch.is_none() {
            self.watch = Watch::beside(&self.daemon).ok();
        }
    }

    /// One has answered. What is given back is to be dropped where it may take a moment.
    pub fn rest(&mut self) -> Option<Watch> {
        self.watch.take()
    }

    /// Those of the fleet that were heard by now.
    pub fn masters(&self) -> Vec<SocketAddr> {
        let found = self.watch.iter().flat_map(Watch::found).filter(|found| found.state == State::Master(self.fleet));
        found.flat_map(|found| found.addresses.into_iter().take(OF_ONE_MAX)).take(ADDRESSES_MAX).collect()
    }
}
