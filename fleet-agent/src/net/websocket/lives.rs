//! The connections of one endpoint that live: so many at most, each in a task, and all ended together.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::{
    End, Ended,
    trunk::{Halves, Side, Socket, Trunk},
};
use crate::net::{
    carrier::{CarrierError, CloseCode},
    quic::Settings,
};

/// For telling everybody goodbye.
const CLOSE_MAX: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
pub(crate) struct Lives {
    places: Arc<Semaphore>,
    places_max: u32,
    stopping: Arc<watch::Sender<bool>>,
}

impl Lives {
    pub(crate) fn new(places_max: u32) -> Lives {
        Lives { places: Arc::new(Semaphore::new(places_max as usize)), places_max, stopping: Arc::new(watch::channel(false).0) }
    }

    pub(super) async fn stopped(&self) {
        // Its sender is beside it.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Refused when all places are taken: by those that are there, or still say goodbye.
    pub(super) fn begin(&self, socket: Socket, address: SocketAddr, side: Side, settings: &Settings) -> Result<(Trunk, Halves), CarrierError> {
        let refused = || CarrierError::Reach { address, source: std::io::Error::other("there are too many connections") };
        let place = self.places.clone().try_acquire_owned().map_err(|_| refused())?;
        let (trunk, control, life) = Trunk::start(socket, address, side, settings);
        tokio::spawn(live(life, trunk.end(), place, self.clone()));
        Ok((trunk, control))
    }

    /// Says goodbye on every connection and waits until that was heard, within a limit.
    pub(crate) async fn end(&self) {
        self.stopping.send_replace(true);
        // Whether everybody heard it makes no difference any more.
        let _ = timeout(CLOSE_MAX, self.places.acquire_many(self.places_max)).await;
    }
}

/// The life of a connection, with its place among the others. It ends with the endpoint.
async fn live(life: impl Future<Output = ()>, end: End, place: OwnedSemaphorePermit, lives: Lives) {
    tokio::pin!(life);
    tokio::select! {
        () = &mut life => {}
        () = lives.stopped() => {
            end.tell(Ended::Here { code: CloseCode::Stopping, reason: "stopping".to_owned() });
            life.await;
        }
    }
    drop(place);
}
