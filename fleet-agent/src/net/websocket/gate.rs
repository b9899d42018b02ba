//! Lets in those who dial, a bounded number at a time: what QUIC's gate is for UDP.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::net::{
    carrier::{CarrierError, FailedHandshake},
    quic::Settings,
};

/// After the system could not accept, for lack of descriptors: to be tried again at once would only keep it busy.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Connections that wait to be accepted, as std asks for.
const BACKLOG: i32 = 128;

#[derive(Debug)]
pub(crate) struct Gate<Admitted> {
    tcp: TcpListener,
    handshakes: JoinSet<Result<Admitted, FailedHandshake>>,
    handshakes_max: usize,
    handshake_max: Duration,
}

impl<Admitted: Send + 'static> Gate<Admitted> {
    /// Opens a TCP socket to be dialled on. To be called inside a tokio runtime.
    pub(crate) fn open(address: SocketAddr, settings: &Settings) -> Result<Gate<Admitted>, CarrierError> {
        let error = |source| CarrierError::Listen { address, source };
        let tcp = TcpListener::from_std(bind(address).map_err(error)?).map_err(error)?;
        Ok(Gate { tcp, handshakes: JoinSet::new(), handshakes_max: settings.handshakes_max, handshake_max: settings.handshake_max })
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next one whose handshake ended, well or not. Cancel-safe.
    pub(crate) async fn next<Handshake>(&mut self, handshake: impl Fn(TcpStream, SocketAddr) -> Handshake) -> Result<Admitted, FailedHandshake>
    where
        Handshake: Future<Output = Result<Admitted, CarrierError>> + Send + 'static,
    {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => return done.expect("a handshake neither panics nor is ended while the gate lives"),
                accepted = self.tcp.accept() => match accepted {
                    // Dropped, a connection is refused.
                    Ok(_) if self.handshakes.len() >= self.handshakes_max => {}
                    Ok((tcp, address)) => {
                        let (limit, attempt) = (self.handshake_max, handshake(tcp, address));
                        self.handshakes.spawn(async move {
                            timeout(limit, attempt).await.unwrap_or(Err(CarrierError::HandshakeTime)).map_err(|error| FailedHandshake { address, error })
                        });
                    }
                    Err(_) => sleep(ACCEPT_AGAIN).await,
                },
            }
        }
    }
}

/// On both families where no address is meant, whatever the system's habit is; as for UDP.
fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // What is left of connections of an earlier process holds no port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
