//! Listens to what nodes announce. A thread owns what was heard and publishes it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bitacora_core::ids::NodeId;
use mdns_sd::{ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent};
use tokio::sync::watch;

use super::{
    DiscoveryError, FLEET_KEY, Found, KEY_ID_KEY, KeyId, Member, NAME_KEY, NODE_KEY, PROTOCOL_KEY, SERVICE, STATE_KEY, Seen, State, clean_name, insist,
    preferred,
};

/// The library cuts off a receiver that falls a thousand events behind; then it is asked again, and not in a circle.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The nodes that announce themselves, kept up to date until dropped.
pub struct Watch {
    daemon: ServiceDaemon,
    /// Ends with this; another one is somebody else's.
    is_own: bool,
    found: watch::Receiver<Vec<Found>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn begin() -> Result<Watch, DiscoveryError> {
        Watch::listen_on(ServiceDaemon::new()?, true)
    }

    /// By what announces this node, too.
    pub(super) fn beside(daemon: &ServiceDaemon) -> Result<Watch, DiscoveryError> {
        Watch::listen_on(daemon.clone(), false)
    }

    fn listen_on(daemon: ServiceDaemon, is_own: bool) -> Result<Watch, DiscoveryError> {
        let (published, found) = watch::channel(Vec::new());
        let stopping = Arc::new(AtomicBool::new(false));
        let (listening, stopped) = (daemon.clone(), stopping.clone());
        let body = move || {
            while !stopped.load(Ordering::Acquire) && listen(&listening, &stopped, &published).is_ok() {
                thread::sleep(LISTEN_AGAIN_AFTER);
            }
        };
        let thread = thread::Builder::new().name("discovery".into()).spawn(body).map_err(DiscoveryError::Thread)?;
        Ok(Watch { daemon, is_own, found, stopping, thread: Some(thread) })
    }

    /// Who is announced now.
    pub fn found(&self) -> Vec<Found> {
        self.found.borrow().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // With the library's search, or its thread, its events end, and with them ours. If it cannot be told, it is gone already or hangs.
        let told = if self.is_own { insist(|| self.daemon.shutdown()).map(drop) } else { insist(|| self.daemon.stop_browse(SERVICE)) };
        if told.is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Until the library says no more, or cannot be asked.
fn listen(daemon: &ServiceDaemon, stopped: &AtomicBool, published: &watch::Sender<Vec<Found>>) -> Result<(), DiscoveryError> {
    let events = insist(|| daemon.browse(SERVICE))?;
    if stopped.load(Ordering::Acquire) {
        // The word to stop may have come before there was anything to be stopped.
        return insist(|| daemon.stop_browse(SERVICE)).map_err(DiscoveryError::from);
    }
    let mut seen = Seen::default();
    while let Ok(event) = events.recv() {
        match event {
            ServiceEvent::ServiceResolved(service) => match read(&service) {
                Some(found) => seen.hear(service.fullname, found),
                None => seen.forget(&service.fullname),
            },
            ServiceEvent::ServiceRemoved(_, service) => seen.forget(&service),
            // The rest is about the search itself.
            _ => continue,
        }
        published.send_replace(seen.list());
    }
    Ok(())
}

/// `None` for what does not say who it is in the words of this protocol.
fn read(service: &ResolvedService) -> Option<Found> {
    let word = |key| service.get_property_val_str(key);
    let (major, minor) = word(PROTOCOL_KEY)?.split_once('.')?;
    Some(Found {
        name: clean_name(word(NAME_KEY)?)?,
        key: KeyId::parse(word(KEY_ID_KEY)?)?,
        state: State::of(word(STATE_KEY)?, fleet(service), member(service))?,
        protocol: (major.parse().ok()?, minor.parse().ok()?),
        addresses: addresses(service),
    })
}

/// Of one that can be reached.
fn fleet(service: &ResolvedService) -> Option<KeyId> {
    KeyId::parse(service.get_property_val_str(FLEET_KEY)?).filter(|_| service.port != 0)
}

fn member(service: &ResolvedService) -> Option<Member> {
    Some(Member { fleet: fleet(service)?, node: NodeId(service.get_property_val_str(NODE_KEY)?.parse().ok()?) })
}

fn addresses(service: &ResolvedService) -> Vec<SocketAddr> {
    let scoped = service.addresses.iter().map(|address| match address {
        ScopedIp::V6(ip) => (IpAddr::V6(*ip.addr()), ip.scope_id().index),
        other => (other.to_ip_addr(), 0),
    });
    preferred(scoped, service.port)
}
