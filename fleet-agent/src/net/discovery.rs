//! Nodes find one another on the local network by mDNS.
//!
//! What is heard is a hint and never trust: anybody can announce anything. It is listed and capped; nobody is paired with by
//! itself, and those of one fleet who dial one another there prove by their certificates who they are. Whom a name belongs to
//! is proved by [`super::pairing`]. Everything works without it, by addresses.

mod announcement;
mod surroundings;
mod watch;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    thread,
    time::Duration,
};

use bitacora_core::ids::NodeId;

pub use self::{announcement::Announcement, surroundings::Surroundings, watch::Watch};

const SERVICE: &str = "_bitacora._udp.local.";

/// Nodes that are listed. A network that announces more is not one household's or one office's, or somebody floods it.
pub const FOUND_MAX: usize = 256;
/// Addresses of one node: several interfaces, each with some.
pub const ADDRESSES_MAX: usize = 16;
/// Characters of a node's name.
pub const NAME_CHARS_MAX: usize = 63;
/// The library's queue of commands holds 100 and is emptied at once; each refusal waits a moment.
const AGAIN_MAX: u32 = 50;
const AGAIN_AFTER: Duration = Duration::from_millis(20);

const NAME_KEY: &str = "name";
const KEY_ID_KEY: &str = "key";
const STATE_KEY: &str = "state";
const PROTOCOL_KEY: &str = "protocol";
const FLEET_KEY: &str = "fleet";
const NODE_KEY: &str = "node";

#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error("mDNS does not work here")]
    Mdns(#[from] mdns_sd::Error),
    #[error("cannot start the thread that listens to mDNS")]
    Thread(#[source] std::io::Error),
}

/// What somebody announces to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Unpaired,
    /// As which node it can be called, if it can.
    Paired(Option<Member>),
    /// It is no node to pair: the nodes of this fleet can link with it here.
    Master(KeyId),
}

/// What a node says that it is to its own fleet: where it can be found now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Of the authority's certificate.
    pub fleet: KeyId,
    pub node: NodeId,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            State::Unpaired => "unpaired",
            State::Paired(_) => "paired",
            State::Master(_) => "master",
        }
    }

    fn of(name: &str, fleet: Option<KeyId>, member: Option<Member>) -> Option<State> {
        let states = [Some(State::Unpaired), Some(State::Paired(member)), fleet.map(State::Master)];
        states.into_iter().flatten().find(|state| state.name() == name)
    }
}

/// The beginning of a public key's hash: tells two nodes of one name apart, for people. It proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId([u8; 4]);

impl KeyId {
    pub fn of(public_key: &[u8]) -> KeyId {
        let [b0, b1, b2, b3, ..] = *blake3::hash(public_key).as_bytes();
        KeyId([b0, b1, b2, b3])
    }

    fn parse(text: &str) -> Option<KeyId> {
        let number = u32::from_str_radix(text, 16).ok()?;
        let id = KeyId(number.to_be_bytes());
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// A node as it announces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub key: KeyId,
    pub state: State,
    /// Major and minor.
    pub protocol: (u8, u8),
    /// The best one first.
    pub addresses: Vec<SocketAddr>,
}

/// A name as it may be shown and typed: no control characters and no white space in it, and not too long.
pub fn clean_name(name: &str) -> Option<String> {
    let kept = name.chars().filter(|c| !c.is_control() && !is_invisible(*c));
    let name: String = kept.map(|c| if c.is_whitespace() { '-' } else { c }).take(NAME_CHARS_MAX).collect();
    (!name.is_empty()).then_some(name)
}

/// Marks of direction and width, which make a text look like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The addresses that can be dialled, the best one first: routable, then of the link, then of this machine.
///
/// An IPv6 address of the link means nothing without the interface on which it was heard.
pub fn preferred(addresses: impl IntoIterator<Item = (IpAddr, u32)>, port: u16) -> Vec<SocketAddr> {
    let usable = addresses.into_iter().filter_map(|(ip, interface)| {
        let ip = ip.to_canonical();
        let rank = rank(ip, interface)?;
        let address = match ip {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => SocketAddrV6::new(ip, port, 0, interface).into(),
            ip => SocketAddr::new(ip, port),
        };
        Some((rank, address))
    });
    let mut ranked: Vec<(u8, SocketAddr)> = usable.collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().take(ADDRESSES_MAX).map(|(_, address)| address).collect()
}

fn rank(ip: IpAddr, interface: u32) -> Option<u8> {
    match ip {
        _ if ip.is_unspecified() || ip.is_multicast() => None,
        _ if ip.is_loopback() => Some(4),
        IpAddr::V4(ip) if ip.is_broadcast() => None,
        IpAddr::V4(ip) if ip.is_link_local() => Some(2),
        IpAddr::V4(_) => Some(0),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => (interface != 0).then_some(3),
        IpAddr::V6(_) => Some(1),
    }
}

/// The nodes that are announced now.
#[derive(Default)]
struct Seen {
    services: BTreeMap<String, Found>,
}

impl Seen {
    /// A later word of the same service replaces the earlier one, with all its addresses. Beyond the limit nothing new is taken.
    fn hear(&mut self, service: String, found: Found) {
        if self.services.len() < FOUND_MAX || self.services.contains_key(&service) {
            self.services.insert(service, found);
        }
    }

    fn forget(&mut self, service: &str) {
        self.services.remove(service);
    }

    fn list(&self) -> Vec<Found> {
        let mut found: Vec<Found> = self.services.values().cloned().collect();
        found.sort_by(|a, b| a.name.cmp(&b.name).then(a.key.0.cmp(&b.key.0)));
        found
    }
}

/// The library refuses a command while it is busy with others.
fn insist<T>(mut command: impl FnMut() -> mdns_sd::Result<T>) -> mdns_sd::Result<T> {
    for _ in 0..AGAIN_MAX {
        match command() {
            Err(mdns_sd::Error::Again) => thread::sleep(AGAIN_AFTER),
            done => return done,
        }
    }
    command()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, state: State) -> Found {
        Found { name: name.into(), key: KeyId::of(name.as_bytes()), state, protocol: (1, 0), addresses: Vec::new() }
    }

    #[test]
    fn routable_addresses_come_before_those_of_the_link() {
        let ips = ["fe80::2", "127.0.0.1", "169.254.7.7", "fd00::1", "192.168.1.9", "0.0.0.0", "224.0.0.1", "::ffff:10.0.0.1", "10.0.0.1"];
        let preferred = preferred(ips.map(|ip| (ip.parse().unwrap(), 3)), 7);
        let text: Vec<String> = preferred.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["10.0.0.1:7", "192.168.1.9:7", "[fd00::1]:7", "169.254.7.7:7", "[fe80::2%3]:7", "127.0.0.1:7"]);
    }

    #[test]
    fn an_address_of_the_link_without_its_interface_is_none() {
        assert!(preferred([("fe80::2".parse().unwrap(), 0)], 7).is_empty());
    }

    #[test]
    fn addresses_are_capped() {
        let many = (0..200_u8).map(|last| (IpAddr::from([10, 0, 0, last]), 1));
        assert_eq!(preferred(many, 7).len(), ADDRESSES_MAX);
    }

    #[test]
    fn names_steer_no_terminal() {
        assert_eq!(clean_name("a\x1b[2J b\u{202e}c").as_deref(), Some("a[2J-bc"));
        assert_eq!(clean_name("\x07\n"), None);
        assert_eq!(clean_name(&"x".repeat(500)).unwrap().len(), NAME_CHARS_MAX);
    }

    #[test]
    fn a_later_word_replaces_an_earlier_one_and_a_flood_is_cut() {
        let mut seen = Seen::default();
        seen.hear("s".into(), found("s", State::Unpaired));
        (0..2 * FOUND_MAX).for_each(|number| seen.hear(format!("x{number}"), found("x", State::Unpaired)));
        assert_eq!(seen.list().len(), FOUND_MAX);
        seen.hear("s".into(), found("s", State::Paired(None)));
        assert_eq!(seen.list().first().unwrap().state, State::Paired(None));
        seen.forget("s");
        assert!(seen.list().iter().all(|found| found.name != "s"));
    }

    #[test]
    fn key_ids_read_back() {
        let id = KeyId::of(b"key");
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        assert_eq!([KeyId::parse("+1234567"), KeyId::parse("123"), KeyId::parse("")], [None; 3]);
    }
}
