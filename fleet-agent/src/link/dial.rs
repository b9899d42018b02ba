//! Reaching the master: its addresses are looked up each time and tried one beside the other, until one has answered.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bitacora_core::ids::NodeId;
use tokio::{net::lookup_host, time::timeout};

use super::{Greeting, LinkError};
use crate::{
    clock,
    neighbours::Neighbourhood,
    net::{
        carrier::{Carrier, Connection, Endpoint},
        codec::{Kind, Received, RequestId},
        discovery::Surroundings,
        race,
        renewal::{self, Credentials, RenewalError},
        tls::Identity,
    },
};

/// In a node's folder.
pub const CLOCK_FILE: &str = "master-clock";
/// For the answer to our Hello.
const WELCOME_MAX: Duration = Duration::from_secs(5);
/// Addresses that are tried: of one name, or told by a master with several interfaces.
const ADDRESSES_MAX: usize = 8;

/// Which carriers are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    Quic,
    WebSocket,
    /// QUIC first, and the WebSocket beside it when it takes long: where UDP is dropped it takes for ever.
    #[default]
    Auto,
}

impl Choice {
    /// In the order in which they are tried.
    pub const fn carriers(self) -> &'static [Carrier] {
        match self {
            Choice::Quic => &[Carrier::Quic],
            Choice::WebSocket => &[Carrier::WebSocket],
            Choice::Auto => &Carrier::ALL,
        }
    }
}

/// Dials the master. It may move: its names are looked up at each dial.
pub struct Dialler {
    endpoint: Endpoint,
    masters: Vec<String>,
    choice: Choice,
    /// What else shows this node's certificate.
    neighbours: Option<Neighbourhood>,
    /// Where the master was when it called last.
    called_from: Option<SocketAddr>,
    /// Where it is kept how far our clock is ahead of the master's, in microseconds.
    clock_file: Option<PathBuf>,
    /// Where masters are announced, if that is listened to.
    surroundings: Option<Surroundings>,
}

/// A master that has answered our Hello.
pub struct Reached {
    pub connection: Connection,
    pub hears_beats_apart: bool,
}

impl Dialler {
    /// `masters` are HOST:PORT, the likeliest first.
    pub fn new(endpoint: Endpoint, masters: Vec<String>, choice: Choice) -> Dialler {
        Dialler { endpoint, masters, choice, neighbours: None, called_from: None, clock_file: None, surroundings: None }
    }

    /// Looks for masters that announce themselves while none answers.
    pub fn looking_around(self, surroundings: Option<Surroundings>) -> Dialler {
        Dialler { surroundings, ..self }
    }

    /// Writes down in this folder what it learns of the master's clock.
    pub fn comparing_clocks(self, home: &Path) -> Dialler {
        Dialler { clock_file: Some(home.join(CLOCK_FILE)), ..self }
    }

    pub fn beside(self, neighbours: Option<Neighbourhood>) -> Dialler {
        Dialler { neighbours, ..self }
    }

    /// Nobody has answered.
    pub(super) fn look_around(&mut self) {
        if let Some(surroundings) = &mut self.surroundings {
            surroundings.look();
        }
    }

    /// Somebody has: nobody need be looked for.
    pub(super) fn found(&mut self) {
        if let Some(watch) = self.surroundings.as_mut().and_then(Surroundings::rest) {
            tokio::task::spawn_blocking(move || drop(watch));
        }
    }

    /// The link that this has made is lost.
    pub(super) fn lost(&self) {
        if let Some(neighbours) = &self.neighbours {
            neighbours.forget();
        }
    }

    /// With a certificate that holds: one that has expired is renewed first, if it is not too late for that.
    pub async fn dial_as(&mut self, credentials: &mut Credentials) -> Result<Reached, LinkError> {
        if !credentials.has_expired(SystemTime::now()) {
            match self.dial().await {
                Err(error) if error.says_expired() => {}
                dialled => return dialled,
            }
        }
        let renewed = self.renew_expired(credentials.identity()).await?;
        self.adopt(credentials, renewed)?;
        self.dial().await
    }

    /// From now on this is what the node is.
    pub fn adopt(&mut self, credentials: &mut Credentials, identity: Identity) -> Result<(), RenewalError> {
        credentials.replace(identity, &mut self.endpoint)?;
        Ok(self.neighbours.as_ref().map_or(Ok(()), |neighbours| neighbours.renew(credentials.identity()))?)
    }

    /// At the first address where a master answers, by either carrier.
    async fn renew_expired(&self, identity: &Identity) -> Result<Identity, LinkError> {
        let addresses = self.known().await?;
        let attempt = |carrier, address| {
            let (endpoint, identity) = (self.endpoint.clone(), identity.clone());
            async move { renewal::renew_expired(&endpoint, carrier, address, &identity).await.map_err(LinkError::from) }
        };
        let renewed = race::first_to_answer(race::ways(&addresses, self.choice.carriers()), attempt, LinkError::is_final).await;
        renewed.map_err(|failure| failure.unwrap_or_else(|| LinkError::NoAddress(self.masters.join(" "))))
    }

    /// Where the master may be, the likeliest first.
    async fn known(&self) -> Result<Vec<SocketAddr>, LinkError> {
        let told = addresses(&self.masters).await;
        let announced = self.surroundings.as_ref().map(Surroundings::masters).unwrap_or_default();
        if self.called_from.is_none() && announced.is_empty() {
            return told;
        }
        let mut known: Vec<SocketAddr> = Vec::new();
        for address in self.called_from.into_iter().chain(told.unwrap_or_default()).chain(announced) {
            if !known.contains(&address) {
                known.push(address);
            }
        }
        Ok(known)
    }

    async fn dial(&self) -> Result<Reached, LinkError> {
        self.first_to_answer(self.known().await?).await
    }

    /// The first connection on which our Hello was answered. A refusal is an answer too.
    async fn first_to_answer(&self, addresses: Vec<SocketAddr>) -> Result<Reached, LinkError> {
        let attempt = |carrier, address| greet(self.endpoint.clone(), carrier, address, self.clock_file.clone());
        let answered =
            race::first_to_answer(race::ways(&addresses, self.choice.carriers()), attempt, |answer: &LinkError| answer.is_final() || answer.says_expired());
        answered.await.map_err(|failure| failure.unwrap_or_else(|| LinkError::NoAddress(self.masters.join(" "))))
    }

    /// Introduces this node to a master that has called. Where it called from it can be dialled, if that is where it listens too.
    pub(super) async fn answer(&mut self, called: Connection) -> Result<Reached, LinkError> {
        let from = (called.link.carrier() == Carrier::Quic).then(|| called.link.remote_address());
        let reached = introduce(called, self.clock_file.clone()).await?;
        self.called_from = from.or(self.called_from);
        Ok(reached)
    }
}

/// Where each HOST:PORT is now. One that cannot be looked up is no trouble while there is another.
pub async fn addresses(masters: &[String]) -> Result<Vec<SocketAddr>, LinkError> {
    let (mut addresses, mut failure) = (Vec::new(), LinkError::NoAddress(masters.join(" ")));
    for master in masters {
        match lookup_host(master).await {
            Ok(found) => addresses.extend(found),
            Err(source) => failure = LinkError::Lookup { master: master.clone(), source },
        }
    }
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() { Err(failure) } else { Ok(addresses) }
}

/// Connected means that our Hello was answered: in TLS 1.3 a refusal only shows at the first read.
async fn greet(endpoint: Endpoint, carrier: Carrier, address: SocketAddr, clock_file: Option<PathBuf>) -> Result<Reached, LinkError> {
    introduce(endpoint.dial(carrier, address, NodeId::HERE).await?, clock_file).await
}

async fn introduce(mut connection: Connection, clock_file: Option<PathBuf>) -> Result<Reached, LinkError> {
    connection.tx.send(Kind::Hello, RequestId(1), &Greeting::of_this_program()).await?;
    let said = timeout(WELCOME_MAX, welcome(&mut connection)).await.map_err(|_| LinkError::Silent)??;
    if let (Some(file), Some(at)) = (clock_file, said.at) {
        // For `doctor`, which asks no master; without it that says less.
        let _ = fs::write(file, (clock::now().0 as i64 - at.0 as i64).to_string());
    }
    Ok(Reached { connection, hears_beats_apart: said.hears_beats_apart })
}

async fn welcome(connection: &mut Connection) -> Result<Greeting, LinkError> {
    match connection.rx.receive().await? {
        Some(Received::Frame(frame)) if frame.kind == Kind::Welcome => Ok(frame.body()?),
        Some(Received::Frame(frame)) if frame.kind == Kind::Refused => Err(LinkError::Refused(frame.body()?)),
        Some(_) => Err(LinkError::Ended),
        // Why stands in the word that ends the connection, which may come behind the stream's own end.
        None => Err(connection.link.closed().await.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use tokio::net::TcpListener;

    use super::*;
    use crate::net::{
        carrier::Listener,
        quic::{ListenerKeys, Settings},
        tls::{
            Role,
            tests::{authority, identity},
        },
    };

    const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
    const TRIES_MAX: usize = 20;

    /// A master's ends, and those of an agent.
    fn ends() -> (Endpoint, Listener, Endpoint) {
        let authority = authority();
        let (master, agent) = (identity(&authority, NodeId::HERE.0, Role::Master), identity(&authority, 2, Role::Worker));
        let keys = ListenerKeys::fresh().unwrap();
        let listening = (0..TRIES_MAX).find_map(|_| Endpoint::listening(ANY.into(), &master, &keys, Settings::default()).ok());
        let (endpoint, listener) = listening.expect("some port is free for both");
        (endpoint, listener, Endpoint::dialling(ANY.into(), &agent, &keys, Settings::default()).unwrap())
    }

    async fn welcome_one(door: &mut Listener) -> Connection {
        loop {
            let Some(Ok(mut connection)) = door.accept().await else { continue };
            let Ok(Some(_)) = connection.rx.receive().await else { continue };
            connection.tx.send(Kind::Welcome, RequestId(1), &Greeting::default()).await.unwrap();
            return connection;
        }
    }

    #[tokio::test]
    async fn the_address_that_answers_is_found_among_those_that_do_not() {
        // Both take what they are sent and never say a word.
        let (silent_udp, silent_tcp) = (UdpSocket::bind(ANY).unwrap(), TcpListener::bind(ANY).await.unwrap());
        for (choice, silent) in [(Choice::Quic, silent_udp.local_addr().unwrap()), (Choice::WebSocket, silent_tcp.local_addr().unwrap())] {
            let (master_end, mut door, agent_end) = ends();
            let addresses = vec![silent, master_end.local_address().unwrap()];
            let dialler = Dialler::new(agent_end, vec!["master.example:1".into()], choice);
            let (dialled, _answered) = tokio::join!(dialler.first_to_answer(addresses), welcome_one(&mut door));
            let link = dialled.unwrap().connection.link;
            assert_eq!((link.remote_address(), &[link.carrier()][..]), (master_end.local_address().unwrap(), choice.carriers()));
        }
    }

    #[tokio::test]
    async fn where_udp_is_dropped_the_websocket_answers() {
        let (master_end, mut door, agent_end) = ends();
        // The same TCP port, behind a UDP port that swallows everything.
        let address = master_end.local_address().unwrap();
        let between = TcpListener::bind(ANY).await.unwrap();
        let silent = UdpSocket::bind(between.local_addr().unwrap());
        let forward = async {
            let mut near = between.accept().await.unwrap().0;
            let mut far = tokio::net::TcpStream::connect(address).await.unwrap();
            drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
        };
        let dialler = Dialler::new(agent_end, vec!["master.example:1".into()], Choice::Auto);
        let dialled = async { tokio::join!(dialler.first_to_answer(vec![between.local_addr().unwrap()]), welcome_one(&mut door)).0 };
        let dialled = tokio::select! {
            dialled = dialled => dialled,
            () = forward => panic!("nobody ended it"),
        };
        assert_eq!(dialled.unwrap().connection.link.carrier(), Carrier::WebSocket);
        drop(silent);
    }

    #[tokio::test]
    async fn every_name_is_looked_up() {
        let look_up = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<String>>();
        assert_eq!(addresses(&look_up(&["127.0.0.1:7"])).await.unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        assert!(matches!(addresses(&look_up(&["no port"])).await, Err(LinkError::Lookup { .. })));
        assert_eq!(addresses(&look_up(&["no port", "[fe80::1%2]:7"])).await.unwrap(), ["[fe80::1%2]:7".parse().unwrap()]);
    }
}
