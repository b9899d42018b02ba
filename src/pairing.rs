//! Pairing with nodes that show a code, and what is seen of them on the local network.
//!
//! Nothing is dialled here unless a person asked for it. Whether a node is taken into the fleet is the loop's to say, and is in
//! the journal before the node hears of it.

use std::{net::SocketAddr, sync::Arc};

use bitacora_core::ids::NodeId;
use fleet_agent::{
    net::{
        discovery::{Announcement, DiscoveryError, Found, KeyId, Member, State, Watch, preferred},
        join::Grant,
        pairing::{Admissions, MASTERS_MAX, PairError, Paired, PairingCode, pair},
        tls::Authority,
    },
    sense::machine_name,
};
use tokio::sync::{Semaphore, oneshot};

use crate::links::{Deliver, LinkEvent};

/// Nodes that are being paired at the same time: each is a person who has typed a code.
const PAIRINGS_MAX: usize = 4;
/// Addresses of one node that are tried; each that leads nowhere costs seconds.
const ADDRESSES_TRIED_MAX: usize = 6;

/// A node that a person wants in the fleet.
pub struct Wanted {
    pub addresses: Vec<SocketAddr>,
    pub code: PairingCode,
    /// Instead of what it calls itself.
    pub name: Option<String>,
    /// The device from which a person wants it; the master's own machine if none.
    pub operator: Option<NodeId>,
}

/// What a serving master has for pairing.
pub struct Pairing {
    authority: Arc<Authority>,
    /// Where nodes link.
    listen: SocketAddr,
    deliver: Deliver,
    turns: Arc<Semaphore>,
    watch: Option<Watch>,
    _announcement: Option<Announcement>,
}

impl Pairing {
    pub fn new(authority: Arc<Authority>, listen: SocketAddr, deliver: Deliver) -> Pairing {
        Pairing { authority, listen, deliver, turns: Arc::new(Semaphore::new(PAIRINGS_MAX)), watch: None, _announcement: None }
    }

    /// From now on nodes that announce themselves are known, and this master to those that look for it.
    pub fn watch(&mut self) -> Result<(), DiscoveryError> {
        self.watch = Some(Watch::begin()?);
        if !self.listen.ip().is_loopback() {
            let fleet = KeyId::of(self.authority.certificate());
            let mut announcement = Announcement::new(machine_name(), fleet)?;
            announcement.say(State::Master(fleet), self.listen.port())?;
            self._announcement = Some(announcement);
        }
        Ok(())
    }

    /// The nodes that announce themselves; `None` when nobody listens to that.
    pub fn found(&self) -> Option<Vec<Found>> {
        let is_node = |found: &Found| !matches!(found.state, State::Master(_));
        self.watch.as_ref().map(|watch| watch.found().into_iter().filter(is_node).collect())
    }

    /// Where a node of this fleet says that it can be called.
    pub fn announced(&self, node: NodeId) -> Vec<SocketAddr> {
        let member = Member { fleet: KeyId::of(self.authority.certificate()), node };
        let found = self.found().unwrap_or_default().into_iter().filter(|found| found.state == State::Paired(Some(member)));
        found.flat_map(|found| found.addresses).take(ADDRESSES_TRIED_MAX).collect()
    }

    /// Dials the node and lets it in if it knows the code; `done` hears what came of it. `false` when too many are at it.
    pub fn begin(&self, runtime: &tokio::runtime::Handle, wanted: Wanted, done: impl FnOnce(Result<Paired, PairError>) + Send + 'static) -> bool {
        let Ok(turn) = self.turns.clone().try_acquire_owned() else { return false };
        let authority = self.authority.clone();
        let asking = AskLoop { deliver: self.deliver.clone(), name: wanted.name, operator: wanted.operator, listen: self.listen };
        runtime.spawn(async move {
            let addresses: Vec<SocketAddr> = wanted.addresses.into_iter().take(ADDRESSES_TRIED_MAX).collect();
            done(pair(&addresses, &wanted.code, &authority, &asking).await);
            drop(turn);
        });
        true
    }
}

struct AskLoop {
    deliver: Deliver,
    name: Option<String>,
    operator: Option<NodeId>,
    listen: SocketAddr,
}

impl Admissions for AskLoop {
    async fn admit(&self, own_name: String, address: SocketAddr) -> Option<Grant> {
        let (answer, answered) = oneshot::channel();
        (self.deliver)(LinkEvent::CodeProved { name: self.name.clone().unwrap_or(own_name), address, operator: self.operator, answer });
        answered.await.ok().flatten()
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        // Without the interfaces the node still knows from where it was dialled, if it knows the port.
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        listening(self.listen, interfaces.iter().map(if_addrs::Interface::ip))
    }
}

/// The addresses at which nodes reach a master that listens so.
fn listening(listen: SocketAddr, interfaces: impl Iterator<Item = std::net::IpAddr>) -> Vec<SocketAddr> {
    if !listen.ip().is_unspecified() {
        return vec![listen];
    }
    // An unspecified IPv6 address takes IPv4 as well. An address of the link has another scope at the node, which sees it anyway.
    let heard = interfaces.filter(|ip| listen.is_ipv6() || ip.is_ipv4()).map(|ip| (ip, 0));
    let mut addresses = preferred(heard, listen.port());
    if addresses.iter().any(|address| !address.ip().is_loopback()) {
        addresses.retain(|address| !address.ip().is_loopback());
    }
    addresses.truncate(MASTERS_MAX);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_tells_the_addresses_that_lead_to_it() {
        let tell = |listen: &str| {
            let interfaces = ["127.0.0.1", "::1", "192.168.1.2", "fe80::1", "fd00::2"].map(|ip| ip.parse().unwrap());
            let told = listening(listen.parse().unwrap(), interfaces.into_iter());
            told.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(tell("10.0.0.1:7411"), ["10.0.0.1:7411"]);
        assert_eq!(tell("0.0.0.0:7411"), ["192.168.1.2:7411"]);
        assert_eq!(tell("[::]:7411"), ["192.168.1.2:7411", "[fd00::2]:7411"]);
    }

    #[test]
    fn a_machine_without_a_network_has_itself() {
        let told = listening("0.0.0.0:7411".parse().unwrap(), ["127.0.0.1", "::1"].map(|ip| ip.parse().unwrap()).into_iter());
        assert_eq!(told, ["127.0.0.1:7411".parse().unwrap()]);
    }
}
