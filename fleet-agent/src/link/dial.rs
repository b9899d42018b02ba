//! Reaching the master: its addresses are looked up each time and tried one beside the other, until one has answered.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use bitacora_core::ids::NodeId;
use tokio::{
    net::lookup_host,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{Greeting, LinkError};
use crate::net::{
    codec::{Kind, Received, RequestId},
    quic::{Connection, Endpoint, FrameReceiver},
};

/// For the answer to our Hello.
const WELCOME_MAX: Duration = Duration::from_secs(5);
/// After this the next address is tried beside those that have not answered yet.
const NEXT_AFTER: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Dials the master. It may move: its name is looked up at each dial.
#[derive(Clone, Debug)]
pub struct Dialler {
    endpoint: Endpoint,
    master: String,
}

impl Dialler {
    /// `master` is HOST:PORT.
    pub fn new(endpoint: Endpoint, master: String) -> Dialler {
        Dialler { endpoint, master }
    }

    pub(super) async fn dial(&self) -> Result<Connection, LinkError> {
        self.first_to_answer(addresses(&self.master).await?).await
    }

    /// The first connection on which our Hello was answered; the others are given up. A refusal is an answer too.
    async fn first_to_answer(&self, addresses: Vec<SocketAddr>) -> Result<Connection, LinkError> {
        let (mut waiting, mut attempts) = (VecDeque::from(addresses), JoinSet::new());
        let (mut next, mut failure) = (Instant::now(), LinkError::NoAddress(self.master.clone()));
        while !(waiting.is_empty() && attempts.is_empty()) {
            tokio::select! {
                Some(done) = attempts.join_next() => match done.expect("an attempt neither panics nor is ended while it is waited for") {
                    Ok(connection) => return Ok(connection),
                    Err(refused @ LinkError::Refused(_)) => return Err(refused),
                    Err(error) => {
                        failure = error;
                        if attempts.is_empty() {
                            next = Instant::now();
                        }
                    }
                },
                () = sleep_until(next), if !waiting.is_empty() => {
                    let address = waiting.pop_front().expect("it is not empty");
                    attempts.spawn(greet(self.endpoint.clone(), address));
                    next = Instant::now() + NEXT_AFTER;
                }
            }
        }
        Err(failure)
    }
}

/// Where HOST:PORT is now.
pub async fn addresses(master: &str) -> Result<Vec<SocketAddr>, LinkError> {
    let found = lookup_host(master).await.map_err(|source| LinkError::Lookup { master: master.to_owned(), source })?;
    let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() { Err(LinkError::NoAddress(master.to_owned())) } else { Ok(addresses) }
}

/// Connected means that our Hello was answered: in TLS 1.3 a refusal only shows at the first read.
async fn greet(endpoint: Endpoint, address: SocketAddr) -> Result<Connection, LinkError> {
    let mut connection = endpoint.dial(address, NodeId::HERE).await?;
    let greeting = Greeting { version: env!("CARGO_PKG_VERSION").to_owned() };
    connection.tx.send(Kind::Hello, RequestId(1), &greeting).await?;
    timeout(WELCOME_MAX, welcome(&mut connection.rx)).await.map_err(|_| LinkError::Silent)??;
    Ok(connection)
}

async fn welcome(rx: &mut FrameReceiver) -> Result<(), LinkError> {
    match rx.receive().await? {
        Some(Received::Frame(frame)) if frame.kind == Kind::Welcome => Ok(()),
        Some(Received::Frame(frame)) if frame.kind == Kind::Refused => Err(LinkError::Refused(frame.body()?)),
        Some(_) | None => Err(LinkError::Ended),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use super::*;
    use crate::net::{
        quic::{ListenerKeys, Settings},
        tls::{
            Role,
            tests::{authority, identity},
        },
    };

    #[tokio::test]
    async fn the_address_that_answers_is_found_among_those_that_do_not() {
        let authority = authority();
        let (master, agent) = (identity(&authority, NodeId::HERE.0, Role::Master), identity(&authority, 2, Role::Worker));
        let open = |address: SocketAddr, identity| Endpoint::open(address, identity, &ListenerKeys::fresh().unwrap(), Settings::default()).unwrap();
        let (master_end, mut door) = open((Ipv4Addr::LOCALHOST, 0).into(), &master);
        let (agent_end, _) = open((Ipv4Addr::UNSPECIFIED, 0).into(), &agent);
        // It takes what it is sent and never says a word.
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addresses = vec![silent.local_addr().unwrap(), master_end.local_address().unwrap()];
        let dialler = Dialler::new(agent_end, "master.example:1".into());
        let answer = async {
            let mut connection = door.accept().await.unwrap().unwrap();
            connection.rx.receive().await.unwrap();
            connection.tx.send(Kind::Welcome, RequestId(1), &Greeting { version: String::new() }).await.unwrap();
            connection
        };
        let (dialled, _answered) = tokio::join!(dialler.first_to_answer(addresses), answer);
        assert_eq!(dialled.unwrap().link.remote_address(), master_end.local_address().unwrap());
    }

    #[tokio::test]
    async fn every_name_is_looked_up() {
        assert_eq!(addresses("127.0.0.1:7").await.unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        assert!(matches!(addresses("no port").await, Err(LinkError::Lookup { .. })));
    }
}
