//! Nodes and a master on loopback, with certificates of every age.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::task::JoinHandle;

use super::*;
use crate::net::{
    carrier::{Carrier, Listener},
    quic::{ListenerKeys, Settings},
    tls::{
        Role,
        tests::{authority, identity, today},
    },
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Ends a test that hangs; no assertion depends on it.
const TEST_MAX: Duration = Duration::from_secs(60);
const TRIES_MAX: usize = 20;

/// A worker whose certificate of thirty days began so many days ago.
fn aged(authority: &Authority, days: u32) -> Identity {
    worker(authority, Validity { not_before: SystemTime::now() - DAY * days, span: 30 * DAY })
}

fn worker(authority: &Authority, validity: Validity) -> Identity {
    let key = NodeKey::generate().unwrap();
    let certificate = authority.sign(&key.request().unwrap(), NodeId(7), Role::Worker.into(), validity).unwrap();
    Identity::new(key, certificate, authority.certificate().clone()).unwrap()
}

/// A master that renews for whoever it is told to, over links and for the expired.
struct Master {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
    _endpoint: Endpoint,
}

impl Drop for Master {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn open(identity: &Identity) -> (Endpoint, Listener) {
    let listening = || Endpoint::listening((Ipv4Addr::LOCALHOST, 0).into(), identity, &ListenerKeys::fresh().unwrap(), Settings::default()).ok();
    (0..TRIES_MAX).find_map(|_| listening()).expect("some port is free for both")
}

async fn serve(mut transfer: Transfer, peer: Peer, authority: &Authority, permitted: bool) {
    let Some(Received::Frame(frame)) = transfer.rx.receive().await.unwrap() else { panic!("no request") };
    let permit = async { permitted.then(today) };
    answer(&mut transfer, &frame, peer, authority, permit).await.unwrap();
    transfer.tx.finish().await.unwrap();
}

impl Master {
    fn open(authority: &Arc<Authority>, permitted: bool) -> Master {
        let (endpoint, mut listener) = open(&identity(authority, 0, Role::Master));
        let address = endpoint.local_address().unwrap();
        let (mut expired, signer) = (listener.renewals().unwrap(), Arc::clone(authority));
        let renewing = tokio::spawn(async move {
            while let Some(renewal) = expired.recv().await {
                serve(renewal.transfer, renewal.peer, &signer, permitted).await;
                renewal.link.closed().await;
            }
        });
        let signer = Arc::clone(authority);
        let linking = tokio::spawn(async move {
            while let Some(arrived) = listener.accept().await {
                let Ok(connection) = arrived else { continue };
                let transfer = connection.link.accept_transfer().await.unwrap();
                serve(transfer, connection.link.peer(), &signer, permitted).await;
                connection.link.closed().await;
            }
        });
        Master { address, tasks: [renewing, linking], _endpoint: endpoint }
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(TEST_MAX, work).await.expect("the test hangs")
}

#[tokio::test]
async fn over_its_link_a_node_gets_a_later_certificate_for_a_new_key() {
    let authority = Arc::new(authority());
    let master = Master::open(&authority, true);
    // The master's hour ends later than these ten minutes.
    let before = worker(&authority, Validity { not_before: SystemTime::now() - DAY, span: DAY + Duration::from_secs(600) });
    let folder = tempfile::tempdir().unwrap();
    before.save(folder.path()).unwrap();
    let mut credentials = Credentials::new(before.clone(), folder.path());
    assert!(credentials.is_due(SystemTime::now()) && !credentials.has_expired(SystemTime::now()));
    let (mut endpoint, _listener) = open(&before);
    let mut connection = within(endpoint.dial(Carrier::Quic, master.address, NodeId(0))).await.unwrap();
    // The master hears of the link with the first frame on it.
    connection.tx.send(Kind::Hello, RequestId(1), "").await.unwrap();
    let renewed = within(renew(&connection.link, credentials.identity())).await.unwrap();
    connection.link.close(CloseCode::Stopping, "done");
    assert_eq!((renewed.peer().node, renewed.peer().roles), (before.peer().node, before.peer().roles));
    assert!(renewed.peer().expires > before.peer().expires);
    credentials.replace(renewed.clone(), &mut endpoint).unwrap();
    assert_eq!(Identity::load(folder.path()).unwrap().peer(), renewed.peer());
    within(endpoint.dial(Carrier::Quic, master.address, NodeId(0))).await.unwrap();
}

#[tokio::test]
async fn a_node_that_was_off_renews_within_the_grace_and_can_do_nothing_else() {
    let authority = Arc::new(authority());
    let master = Master::open(&authority, true);
    let expired = aged(&authority, 31);
    let (endpoint, _listener) = open(&expired);
    for carrier in Carrier::ALL {
        // In TLS 1.3 the dial itself may succeed; the first answer never comes.
        let refused = within(async {
            let mut connection = endpoint.dial(carrier, master.address, NodeId(0)).await?;
            connection.tx.send(Kind::Hello, RequestId(1), "").await?;
            match connection.rx.receive().await? {
                // The stream's own end may come before the word that ends the connection.
                None => Err(connection.link.closed().await),
                Some(_) => Ok(()),
            }
        });
        let refused = refused.await.unwrap_err();
        assert!(refused.close_code() == Some(CloseCode::Expired as u64), "{carrier:?}: {refused:?}");
        let renewed = within(renew_expired(&endpoint, carrier, master.address, &expired)).await.unwrap();
        assert_eq!((renewed.peer().node, renewed.peer().roles), (NodeId(7), Role::Worker.into()));
        assert!(renewed.peer().expires > SystemTime::now());
    }
}

#[tokio::test]
async fn beyond_the_grace_there_is_no_way_back() {
    let authority = Arc::new(authority());
    let master = Master::open(&authority, true);
    let void = aged(&authority, 61);
    let (endpoint, _listener) = open(&void);
    for carrier in Carrier::ALL {
        let refused = within(renew_expired(&endpoint, carrier, master.address, &void)).await.unwrap_err();
        assert!(matches!(refused, RenewalError::TooLate), "{carrier:?}: {refused:?}");
    }
}

#[tokio::test]
async fn whoever_was_removed_gets_no_certificate() {
    let authority = Arc::new(authority());
    let master = Master::open(&authority, false);
    let expired = aged(&authority, 31);
    let (endpoint, _listener) = open(&expired);
    for carrier in Carrier::ALL {
        let refused = within(renew_expired(&endpoint, carrier, master.address, &expired)).await.unwrap_err();
        assert!(matches!(&refused, RenewalError::Refused(reason) if reason.contains("does not belong")), "{carrier:?}: {refused:?}");
    }
}

#[tokio::test]
async fn an_expired_certificate_of_another_authority_is_no_way_in() {
    let (ours, theirs) = (Arc::new(authority()), authority());
    let master = Master::open(&ours, true);
    let stranger = aged(&theirs, 31);
    // Knows our authority, so that it is the master that has to refuse.
    let stranger = stranger.trusting(ours.certificate());
    let (endpoint, _listener) = open(&stranger);
    for carrier in Carrier::ALL {
        let refused = within(renew_expired(&endpoint, carrier, master.address, &stranger)).await.unwrap_err();
        assert!(matches!(refused, RenewalError::Carrier(CarrierError::Lost(_) | CarrierError::Upgrade(_))), "{carrier:?}: {refused:?}");
    }
}
