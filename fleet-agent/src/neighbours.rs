//! Contents and packs from nodes on the same subnet, before the master is asked; and to them.
//!
//! Who may ask whom the master says, and whoever it does not name is not served, whatever its certificate. What comes is checked
//! against its name as from the master. A neighbour that has nothing, or does not answer, costs a moment: everything can be had
//! from the master.

mod kept;
mod lending;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bitacora_core::{
    ids::{Digest, NodeId},
    wire::{
        neighbours::{Neighbour, Neighbours},
        node::Load,
    },
};
use tokio::{runtime::Handle, sync::watch, time::timeout};

use self::kept::Kept;
use crate::{
    blobs::Blobs,
    link::Greeting,
    net::{
        carrier::{Carrier, CarrierError, Connection, Endpoint, Link},
        codec::{Kind, RequestId},
        tls::Identity,
        transfer::{self, TransferError},
    },
    work::Fetch,
};

/// In the node's folder: what it was brought, for as long as its process lives.
const FOLDER: &str = "contents";
/// For the dial of a neighbour, which is near.
const DIAL_MAX: Duration = Duration::from_secs(1);
/// For what it gives at one request; what has not come by then the master is asked for.
const ASK_MAX: Duration = Duration::from_secs(5);
/// One that did not answer is left alone for so long.
const REST: Duration = Duration::from_secs(30);
/// Requests at which a neighbour that had nothing the last times is passed over: doubled each time, up to two to this power.
const PASSED_OVER_POWER_MAX: u32 = 6;

/// A node among its neighbours. Clones are the same one.
#[derive(Clone)]
pub struct Neighbourhood(Arc<Inner>);

struct Inner {
    endpoint: Mutex<Endpoint>,
    known: watch::Sender<Neighbours>,
    kept: Kept,
    packs: Blobs,
    counts: Counts,
    /// Held while a neighbour is dialled, so that nobody is dialled twice.
    acquaintances: tokio::sync::Mutex<HashMap<NodeId, Acquaintance>>,
    runtime: Handle,
}

/// Bytes, unpacked.
#[derive(Debug, Default)]
struct Counts {
    from_master: AtomicU64,
    from_neighbours: AtomicU64,
    to_neighbours: AtomicU64,
}

/// A neighbour that was asked before.
#[derive(Debug, Default)]
struct Acquaintance {
    address: Option<SocketAddr>,
    connection: Option<Connection>,
    /// It did not answer then.
    silent_at: Option<Instant>,
    /// Requests in a row for which it had nothing, and how many more are not made.
    in_vain: u32,
    passed_over: u32,
}

impl Neighbourhood {
    /// Neighbours that it hosts, at most: each needs one connection, and one that was cut off may have a second.
    pub const GUESTS_MAX: usize = lending::GUESTS_MAX;

    /// Dials neighbours by this endpoint. To be called inside a tokio runtime.
    pub fn new(endpoint: Endpoint, home: &Path, packs: Blobs) -> Neighbourhood {
        Neighbourhood(Arc::new(Inner {
            endpoint: Mutex::new(endpoint),
            known: watch::Sender::new(Neighbours::default()),
            kept: Kept::open(&home.join(FOLDER)),
            packs,
            counts: Counts::default(),
            acquaintances: tokio::sync::Mutex::default(),
            runtime: Handle::current(),
        }))
    }

    /// Serves whoever the master has named; shows others the door.
    pub async fn host(self, connection: Connection) {
        lending::host(connection, self.0).await;
    }

    /// From now on these are its neighbours.
    pub fn know(&self, neighbours: Neighbours) {
        self.0.known.send_replace(neighbours);
    }

    /// Nobody is served without a master that could say otherwise.
    pub fn forget(&self) {
        self.know(Neighbours::default());
    }

    pub fn renew(&self, identity: &Identity) -> Result<(), CarrierError> {
        self.0.endpoint.lock().unwrap_or_else(PoisonError::into_inner).renew(identity)
    }

    /// What is brought from here, from neighbours, or else by this other way.
    pub fn fetch(&self, from_master: Fetch) -> Fetch {
        let inner = Arc::clone(&self.0);
        Arc::new(move |names: &[Digest]| {
            let mut found: Vec<Option<Vec<u8>>> = names.iter().map(|name| inner.kept.read(*name)).collect();
            inner.runtime.block_on(inner.ask(names, &mut found));
            let places: Vec<usize> = (0..names.len()).filter(|place| found[*place].is_none()).collect();
            if !places.is_empty() {
                let lacking: Vec<Digest> = places.iter().map(|place| names[*place]).collect();
                for (place, blob) in places.into_iter().zip(from_master(&lacking)?) {
                    Counts::add(&inner.counts.from_master, blob.as_deref());
                    found[place] = blob;
                }
            }
            if !inner.known.borrow().serve.is_empty() {
                inner.kept.keep(names, &found);
            }
            Ok(found)
        })
    }

    /// How much was brought, and from whom.
    pub fn count(&self, load: Load) -> Load {
        let Counts { from_master, from_neighbours, to_neighbours } = &self.0.counts;
        let [from_master_bytes, from_neighbours_bytes, to_neighbours_bytes] =
            [from_master, from_neighbours, to_neighbours].map(|count| count.load(Ordering::Relaxed));
        Load { from_master_bytes, from_neighbours_bytes, to_neighbours_bytes, ..load }
    }
}

impl Counts {
    fn add(count: &AtomicU64, blob: Option<&[u8]>) {
        count.fetch_add(blob.map_or(0, <[u8]>::len) as u64, Ordering::Relaxed);
    }
}

impl Inner {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks one neighbour after the other for what is still lacking.
    async fn ask(&self, names: &[Digest], found: &mut [Option<Vec<u8>>]) {
        let neighbours = self.known.borrow().ask.clone();
        for neighbour in neighbours {
            let places: Vec<usize> = (0..names.len()).filter(|place| found[*place].is_none()).collect();
            if places.is_empty() {
                return;
            }
            let Some(link) = self.link_to(neighbour).await else { continue };
            let lacking: Vec<Digest> = places.iter().map(|place| names[*place]).collect();
            let mut given = 0;
            let take = |at: usize, blob: Option<Vec<u8>>| {
                given += u32::from(blob.is_some());
                Counts::add(&self.counts.from_neighbours, blob.as_deref());
                found[places[at]] = blob;
            };
            let asked = timeout(ASK_MAX, transfer::fetch(&link, &lacking, take)).await;
            self.learn(neighbour.node, matches!(asked, Ok(Ok(()))).then_some(given)).await;
        }
    }

    /// `None` for one that is better not asked now.
    async fn link_to(&self, Neighbour { node, address }: Neighbour) -> Option<Link> {
        let mut acquaintances = self.acquaintances.lock().await;
        let known = acquaintances.entry(node).or_default();
        if known.address != Some(address) {
            *known = Acquaintance { address: Some(address), ..Acquaintance::default() };
        }
        if known.silent_at.is_some_and(|at| at.elapsed() < REST) {
            return None;
        }
        if known.passed_over > 0 {
            known.passed_over -= 1;
            return None;
        }
        if known.connection.is_none() {
            known.connection = timeout(DIAL_MAX, self.dial(node, address)).await.ok().and_then(Result::ok);
            known.silent_at = known.connection.is_none().then(Instant::now);
        }
        known.connection.as_ref().map(|connection| connection.link.clone())
    }

    async fn dial(&self, node: NodeId, address: SocketAddr) -> Result<Connection, TransferError> {
        let mut connection = self.endpoint().dial(Carrier::Quic, address, node).await?;
        let greeting = Greeting::of_this_program();
        connection.tx.send(Kind::Hello, RequestId(1), &greeting).await?;
        transfer::expect_on(&mut connection.rx, Kind::Welcome).await?;
        Ok(connection)
    }

    /// How much it gave; `None` if it did not answer to the end.
    async fn learn(&self, node: NodeId, given: Option<u32>) {
        let mut acquaintances = self.acquaintances.lock().await;
        let Some(known) = acquaintances.get_mut(&node) else { return };
        match given {
            None => (known.connection, known.silent_at) = (None, Some(Instant::now())),
            Some(0) => {
                known.in_vain = (known.in_vain + 1).min(PASSED_OVER_POWER_MAX);
                known.passed_over = (1 << known.in_vain) - 1;
            }
            Some(_) => (known.in_vain, known.passed_over) = (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tempfile::TempDir;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::{
        blobs,
        callers::Calls,
        net::{
            carrier::tests::listening,
            tls::{
                Authority, Role,
                tests::{authority, identity},
            },
        },
    };

    const CONTENTS: [&[u8]; 3] = [b"one", b"two", b"three"];

    fn names() -> Vec<Digest> {
        CONTENTS.iter().map(|bytes| blobs::digest(bytes)).collect()
    }

    struct Node {
        neighbours: Neighbourhood,
        port: u16,
        fetch: Fetch,
        /// Of the master.
        asked: Arc<Mutex<Vec<Digest>>>,
        _folder: TempDir,
    }

    impl Node {
        fn open(runtime: &Runtime, authority: &Authority, number: u64, role: Role) -> Node {
            let _entered = runtime.enter();
            let (folder, identity) = (tempfile::tempdir().unwrap(), identity(authority, number, role));
            let packs = Blobs::open(&folder.path().join("packs")).unwrap();
            let (endpoint, listener) = listening(&identity);
            let port = endpoint.local_address().unwrap().port();
            let neighbours = Neighbourhood::new(endpoint, folder.path(), packs);
            Calls::taken_by(listener, Some(neighbours.clone()), folder.path());
            let asked = Arc::new(Mutex::new(Vec::new()));
            let heard = Arc::clone(&asked);
            let master: Fetch = Arc::new(move |names: &[Digest]| {
                heard.lock().unwrap().extend(names.iter().copied());
                Ok(names.iter().map(|name| CONTENTS.iter().find(|bytes| blobs::digest(bytes) == *name).map(|bytes| bytes.to_vec())).collect())
            });
            Node { fetch: neighbours.fetch(master), neighbours, port, asked, _folder: folder }
        }

        fn neighbour(&self, number: u64) -> Neighbour {
            Neighbour { node: NodeId(number), address: (Ipv4Addr::LOCALHOST, self.port).into() }
        }

        /// What the master was asked for in order to have all of it.
        fn bring(&self) -> Vec<Digest> {
            let brought = (self.fetch)(&names()).unwrap();
            assert_eq!(brought, CONTENTS.map(|bytes| Some(bytes.to_vec())));
            std::mem::take(&mut self.asked.lock().unwrap())
        }
    }

    fn serves(numbers: &[u64]) -> Neighbours {
        Neighbours { ask: Vec::new(), serve: numbers.iter().copied().map(NodeId).collect() }
    }

    fn asks(neighbour: Neighbour) -> Neighbours {
        Neighbours { ask: vec![neighbour], serve: Vec::new() }
    }

    #[test]
    fn what_one_was_brought_the_next_one_has_from_there_for_as_long_as_the_master_says() {
        let (runtime, authority) = (Runtime::new().unwrap(), authority());
        let [one, two] = [1, 2].map(|number| Node::open(&runtime, &authority, number, Role::Worker));
        assert_eq!((one.bring(), one.bring()), (names(), names()), "nobody may ask it: it keeps nothing");
        one.neighbours.know(serves(&[2]));
        assert_eq!((one.bring(), one.bring()), (names(), Vec::new()));
        two.neighbours.know(asks(one.neighbour(1)));
        assert_eq!(two.bring(), Vec::new());
        let counted = |node: &Node| node.neighbours.count(Load::default());
        assert_eq!((counted(&two).from_neighbours_bytes, counted(&two).from_master_bytes), (11, 0));
        assert_eq!(counted(&one).to_neighbours_bytes, 11);
        one.neighbours.forget();
        assert_eq!(two.bring(), names(), "not any more");
        assert_eq!(two.bring(), names(), "and it is left alone for some time");
    }

    #[test]
    fn whom_the_master_has_not_named_is_given_nothing() {
        let (runtime, ours, theirs) = (Runtime::new().unwrap(), authority(), authority());
        let one = Node::open(&runtime, &ours, 1, Role::Worker);
        one.neighbours.know(serves(&[2, 3, 4]));
        one.bring();
        for (authority, number, role, who) in
            [(&ours, 5, Role::Worker, "not named"), (&theirs, 2, Role::Worker, "of another fleet"), (&ours, 3, Role::OperatorAdmin, "a person")]
        {
            let stranger = Node::open(&runtime, authority, number, role);
            stranger.neighbours.know(asks(one.neighbour(1)));
            assert_eq!(stranger.bring(), names(), "{who}");
        }
        // And whoever answers in another's place is not believed.
        let two = Node::open(&runtime, &ours, 2, Role::Worker);
        two.neighbours.know(asks(one.neighbour(4)));
        assert_eq!(two.bring(), names());
        assert_eq!(one.neighbours.count(Load::default()).to_neighbours_bytes, 0);
    }
}
