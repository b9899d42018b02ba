//! Who dials this node: its master, when the two have no link, and nodes of its subnet.
//!
//! Both show a certificate of the fleet. A master that called is heard no sooner than it says so, and then the node introduces
//! itself as if it had dialled.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bitacora_core::ids::Epoch;
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use crate::{
    life,
    neighbours::Neighbourhood,
    net::{
        carrier::{CloseCode, Connection, Listener},
        codec::Kind,
        tls::Role,
        transfer::expect_on,
    },
};

/// Calls that nobody has answered yet: there is one master, which may have moved since the first of two.
const CALLS_MAX: usize = 2;
/// Masters that are connected and have not said that they call.
const CALLERS_MAX: usize = 4;
/// For saying so.
const CALL_MAX: Duration = Duration::from_secs(5);

/// Connections that the master has made.
pub struct Calls(mpsc::Receiver<Connection>);

impl Calls {
    /// Where nobody can call.
    pub fn none() -> Calls {
        Calls(mpsc::channel(1).1)
    }

    /// Hosts whoever dials, until the listener's endpoint is closed. To be called inside a tokio runtime.
    /// `home` is the node's folder, which keeps the highest epoch that it has seen.
    pub fn taken_by(listener: Listener, neighbours: Option<Neighbourhood>, home: &Path) -> Calls {
        let (calls, taken) = mpsc::channel(CALLS_MAX);
        tokio::spawn(host(listener, neighbours, calls, home.to_owned()));
        Calls(taken)
    }

    /// The next one; never, where nobody can call. Cancel-safe.
    pub async fn next(&mut self) -> Connection {
        match self.0.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }
}

async fn host(mut listener: Listener, neighbours: Option<Neighbourhood>, calls: mpsc::Sender<Connection>, home: PathBuf) {
    // Nobody's certificate is renewed here.
    drop(listener.renewals());
    let (mut callers, mut guests) = (JoinSet::new(), JoinSet::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                None => return,
                // Whoever could not shake hands is nobody.
                Some(Err(_)) => {}
                Some(Ok(connection)) if connection.link.peer().roles.contains(Role::Master) => {
                    if callers.len() < CALLERS_MAX {
                        callers.spawn(hear(connection, calls.clone(), home.clone()));
                    }
                }
                Some(Ok(connection)) => {
                    if let Some(neighbours) = neighbours.as_ref().filter(|_| guests.len() < Neighbourhood::GUESTS_MAX) {
                        guests.spawn(neighbours.clone().host(connection));
                    }
                }
            },
            Some(_) = callers.join_next() => {}
            Some(_) = guests.join_next() => {}
        }
    }
}

async fn hear(mut connection: Connection, calls: mpsc::Sender<Connection>, home: PathBuf) {
    let Ok(Ok(frame)) = timeout(CALL_MAX, expect_on(&mut connection.rx, Kind::Call)).await else { return };
    let Ok(Call { epoch }) = frame.body() else { return };
    if epoch < life::epoch_in(&home) {
        // The link with its successor stays as it is.
        return connection.link.close(CloseCode::NotPermitted, "a later master commands this node");
    }
    // With no room there is another call that is not answered yet.
    let _ = calls.try_send(connection);
}

/// What a master says when it calls.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Call {
    /// Of its mastership.
    pub epoch: Epoch,
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bitacora_core::ids::NodeId;
    use tokio::time::sleep;

    use super::*;
    use crate::net::{
        carrier::{Carrier, Endpoint, tests::listening},
        codec::RequestId,
        tls::{
            Authority,
            tests::{authority, identity},
        },
    };

    const NODE: u64 = 2;

    /// Somebody of this role who dials the node and says this.
    async fn says(authority: &Authority, number: u64, role: Role, (kind, epoch): (Kind, u32), address: SocketAddr) -> Option<(Endpoint, Connection)> {
        let (endpoint, _) = listening(&identity(authority, number, role));
        let mut connection = endpoint.dial(Carrier::Quic, address, NodeId(NODE)).await.ok()?;
        connection.tx.send(kind, RequestId(1), &Call { epoch: Epoch(epoch) }).await.ok()?;
        Some((endpoint, connection))
    }

    #[tokio::test]
    async fn who_is_no_master_of_this_fleet_and_who_does_not_say_that_it_calls_is_not_heard() {
        let (ours, theirs) = (authority(), authority());
        let (endpoint, listener) = listening(&identity(&ours, NODE, Role::Worker));
        let address = endpoint.local_address().unwrap();
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(life::EPOCH_FILE), "7").unwrap();
        let mut calls = Calls::taken_by(listener, None, home.path());
        let mut kept = Vec::new();
        for (authority, number, role, kind) in [
            (&ours, 3, Role::Worker, (Kind::Call, 7)),
            (&ours, 4, Role::OperatorAdmin, (Kind::Call, 7)),
            (&theirs, 0, Role::Master, (Kind::Call, 7)),
            (&ours, 0, Role::Master, (Kind::ToAgent, 7)),
            (&ours, 0, Role::Master, (Kind::Call, 6)),
        ] {
            kept.push(says(authority, number, role, kind, address).await);
        }
        let master = says(&ours, 0, Role::Master, (Kind::Call, 7), address).await;
        assert!(master.is_some());
        let heard = calls.next().await;
        assert_eq!(heard.link.peer().node, NodeId(0));
        assert_eq!(heard.link.remote_address(), master.unwrap().0.local_address().unwrap());
        tokio::select! {
            other = calls.next() => panic!("{:?} was heard as well", other.link.peer()),
            // They were before it: what they are taken for was decided by now.
            () = sleep(Duration::from_millis(100)) => {}
        }
    }
}
