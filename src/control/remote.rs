//! How a person's device asks a master elsewhere: the requests of the socket, over a link of the fleet.
//!
//! What makes the device one of a fleet lies in a folder of its own below the data directory: its key and certificate, and
//! where the master is. The key was made here and never leaves.

use std::{
    fs,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::SystemTime,
};

use fleet_agent::{
    link::{self, Choice, Dialler, LinkError},
    net::{
        carrier::{Carrier, CarrierError, Connection, Endpoint},
        codec::{CodecError, Kind, Received, RequestId},
        join::{self, Holder, JoinError, JoinToken, TokenError},
        quic::{ListenerKeys, Settings},
        renewal::{self, Credentials},
        tls::{Identity, Peer, TlsError},
    },
};
use tokio::{runtime::Runtime, time::timeout};

use super::{Answer, MASTER_PORT, MESSAGE_BYTES_MAX, PATIENCE, Request};

const MASTER_FILE: &str = "master";

#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("cannot {operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot start the network's threads")]
    Threads(#[source] io::Error),
    #[error("{name} is a fleet that this device belongs to already; give this one another name with --as")]
    Taken { name: String },
    #[error("{0:?} is no name for a fleet: it has letters, digits and -_. and begins with none of the latter")]
    Name(String),
    #[error("it is no token")]
    Token(#[from] TokenError),
    #[error("the token is for a node: `fleet-agent --join-file` takes it")]
    ForNode,
    #[error("this device's key or certificate cannot be used")]
    Tls(#[from] TlsError),
    #[error("could not join")]
    Join(#[from] JoinError),
    #[error("no link to the master")]
    Link(#[from] LinkError),
    #[error("the link to the master was lost")]
    Lost(#[from] CarrierError),
    #[error("the master refused: {0}")]
    Refused(String),
    #[error("the master did not answer in time")]
    Silent,
    #[error("the master's answer cannot be read")]
    Answer,
}

impl From<CodecError> for RemoteError {
    fn from(error: CodecError) -> RemoteError {
        RemoteError::Lost(error.into())
    }
}

impl RemoteError {
    /// Has it to do with who may do what?
    pub fn is_about_trust(&self) -> bool {
        match self {
            RemoteError::Refused(_) | RemoteError::Tls(_) | RemoteError::Token(_) | RemoteError::ForNode => true,
            RemoteError::Link(error) => error.is_final(),
            RemoteError::Join(JoinError::Carrier(error)) => error.is_distrust(),
            RemoteError::Join(error) => !matches!(error, JoinError::Time | JoinError::Left | JoinError::NoPort),
            _ => false,
        }
    }

    /// Would it go well if the master was there?
    pub fn is_about_reach(&self) -> bool {
        !self.is_about_trust() && matches!(self, RemoteError::Link(_) | RemoteError::Lost(_) | RemoteError::Silent | RemoteError::Join(_))
    }
}

/// What makes this device one that a fleet is commanded with.
#[derive(Clone, Debug)]
pub struct Device {
    /// That a person calls the fleet.
    pub name: String,
    folder: PathBuf,
    /// HOST:PORT.
    pub master: String,
}

impl Device {
    /// What a token would make this machine, and nobody was asked yet; `master` is HOST or HOST:PORT, and its host is the fleet's name if none is given.
    pub fn planned(fleets: &Path, name: Option<&str>, master: &str, token: &str) -> Result<(Device, JoinToken), RemoteError> {
        let token: JoinToken = token.parse()?;
        if token.holder() != Holder::Person {
            return Err(RemoteError::ForNode);
        }
        let name = name.unwrap_or_else(|| host_of(master)).to_owned();
        if !is_name(&name) {
            return Err(RemoteError::Name(name));
        }
        let device = Device { folder: fleets.join(&name), master: with_port(master), name };
        if device.folder.join(MASTER_FILE).exists() {
            return Err(RemoteError::Taken { name: device.name });
        }
        Ok((device, token))
    }

    /// Spends the token.
    pub fn join(&self, token: &JoinToken) -> Result<Peer, RemoteError> {
        let identity = runtime()?.block_on(self.spend(token))?;
        identity.save(&self.folder)?;
        let place = self.folder.join(MASTER_FILE);
        fs::write(&place, &self.master).map_err(|source| RemoteError::Io { operation: "write", path: place, source })?;
        Ok(identity.peer())
    }

    /// At the first address where somebody listens; whoever has seen the token is the last to be asked.
    async fn spend(&self, token: &JoinToken) -> Result<Identity, RemoteError> {
        let addresses = link::addresses(std::slice::from_ref(&self.master)).await?;
        Ok(join::join(&addresses, &Carrier::ALL, token).await?)
    }

    /// Where its key is, and whatever else this machine keeps for that fleet.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// By the fleet's name, or by where its master is.
    pub fn find(fleets: &Path, wanted: &str) -> Result<Option<Device>, RemoteError> {
        let devices = Device::all(fleets)?;
        let is_wanted = |device: &&Device| device.name == wanted || device.master == with_port(wanted) || host_of(&device.master) == wanted;
        Ok(devices.iter().find(|device| device.name == wanted).or_else(|| devices.iter().find(is_wanted)).cloned())
    }

    /// In the order of their names.
    pub fn all(fleets: &Path) -> Result<Vec<Device>, RemoteError> {
        let error = |source| RemoteError::Io { operation: "read", path: fleets.to_owned(), source };
        let entries = match fs::read_dir(fleets) {
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(error)?,
        };
        let mut devices = Vec::new();
        for entry in entries {
            let folder = entry.map_err(error)?.path();
            // What a join that was interrupted has left is none, nor is what no join has made.
            let name = folder.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name));
            if let (Some(name), Ok(master)) = (name, fs::read_to_string(folder.join(MASTER_FILE))) {
                devices.push(Device { name: name.to_owned(), master: master.trim().to_owned(), folder: folder.clone() });
            }
        }
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(devices)
    }
}

/// A link to a master elsewhere.
pub struct Remote {
    runtime: Runtime,
    endpoint: Endpoint,
    connection: Connection,
}

impl Remote {
    /// Dials the master; the device's certificate is renewed when it is due.
    pub fn connect(device: &Device) -> Result<Remote, RemoteError> {
        let runtime = runtime()?;
        let (endpoint, connection) = runtime.block_on(async {
            let identity = Identity::load(&device.folder)?;
            let endpoint = open(&identity)?;
            let mut credentials = Credentials::new(identity, &device.folder);
            let mut dialler = Dialler::new(endpoint.clone(), vec![device.master.clone()], Choice::Auto);
            let connection = dialler.dial_as(&mut credentials).await?.connection;
            if credentials.is_due(SystemTime::now())
                // Not now is as well: there are days for it.
                && let Ok(renewed) = renewal::renew(&connection.link, credentials.identity()).await
            {
                dialler.adopt(&mut credentials, renewed).map_err(LinkError::from)?;
            }
            Ok::<_, RemoteError>((endpoint, connection))
        })?;
        Ok(Remote { runtime, endpoint, connection })
    }

    pub fn ask(&self, request: &Request) -> Result<Answer, RemoteError> {
        let patience = request.patience() + 2 * PATIENCE;
        self.runtime.block_on(async { timeout(patience, self.exchange(request)).await.unwrap_or(Err(RemoteError::Silent)) })
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, RemoteError> {
        let mut transfer = self.connection.link.open_transfer().await?;
        transfer.tx.send(Kind::Asked, RequestId(1), request).await?;
        let mut bytes = Vec::new();
        loop {
            match transfer.rx.receive().await? {
                Some(Received::Frame(frame)) if frame.kind == Kind::Answered && bytes.len() + frame.payload.len() <= MESSAGE_BYTES_MAX as usize => {
                    bytes.extend(frame.payload);
                }
                Some(Received::Frame(frame)) if frame.kind == Kind::Refused => return Err(RemoteError::Refused(frame.body()?)),
                Some(_) => return Err(RemoteError::Answer),
                None => return rmp_serde::from_slice(&bytes).map_err(|_| RemoteError::Answer),
            }
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.runtime.block_on(self.endpoint.close_cleanly());
    }
}

fn runtime() -> Result<Runtime, RemoteError> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(RemoteError::Threads)
}

/// For both families of addresses, or for the older one where the system has no other.
fn open(identity: &Identity) -> Result<Endpoint, RemoteError> {
    let keys = ListenerKeys::fresh()?;
    let open = |any: SocketAddr| Endpoint::dialling(any, identity, &keys, Settings::default());
    Ok(open((Ipv6Addr::UNSPECIFIED, 0).into()).or_else(|_| open((Ipv4Addr::UNSPECIFIED, 0).into()))?)
}

/// It is the name of a folder.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits)
}

fn host_of(master: &str) -> &str {
    match master.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')) => host.trim_matches(['[', ']']),
        _ => master.trim_matches(['[', ']']),
    }
}

fn with_port(master: &str) -> String {
    let has_port = (master.starts_with('[') || master.matches(':').count() <= 1) && !master.ends_with(']') && host_of(master).len() + 2 <= master.len();
    match master {
        master if has_port => master.to_owned(),
        master if master.contains(':') && !master.starts_with('[') => format!("[{master}]:{MASTER_PORT}"),
        master => format!("{master}:{MASTER_PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_has_a_host_and_a_port() {
        for (given, host, whole) in [
            ("phone.lan", "phone.lan", "phone.lan:7411"),
            ("phone.lan:9", "phone.lan", "phone.lan:9"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.1:7411"),
            ("10.0.0.1:80", "10.0.0.1", "10.0.0.1:80"),
            ("fd00::1", "fd00::1", "[fd00::1]:7411"),
            ("[fd00::1]", "fd00::1", "[fd00::1]:7411"),
            ("[fd00::1]:80", "fd00::1", "[fd00::1]:80"),
        ] {
            assert_eq!((host_of(given), with_port(given).as_str()), (host, whole), "{given}");
        }
    }

    #[test]
    fn a_fleet_s_name_is_the_name_of_a_folder() {
        assert!(["home", "10.0.0.1", "my-fleet_2"].into_iter().all(is_name));
        assert!(!["", ".", "..", "a/b", "-x", "a b", "\u{1b}[2J"].into_iter().any(is_name));
    }

    #[test]
    fn a_device_is_found_by_its_fleet_or_where_the_master_is() {
        let folder = tempfile::tempdir().unwrap();
        for (name, master) in [("home", "10.0.0.1:7411"), ("work", "home:9")] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join(MASTER_FILE), master).unwrap();
        }
        fs::create_dir_all(folder.path().join("half")).unwrap();
        let find = |wanted: &str| Device::find(folder.path(), wanted).unwrap().map(|device| device.name);
        assert_eq!(find("home"), Some("home".to_owned()), "the name counts before the host");
        assert_eq!(find("10.0.0.1"), Some("home".to_owned()));
        assert_eq!(find("home:9"), Some("work".to_owned()));
        assert_eq!((find("half"), find("elsewhere")), (None, None));
    }

    #[test]
    fn a_node_s_token_is_not_spent_on_a_person() {
        let folder = tempfile::tempdir().unwrap();
        let token = JoinToken::issue(fleet_agent::net::tls::Fingerprint([1; 32])).unwrap().to_string();
        assert!(matches!(Device::planned(folder.path(), None, "localhost", &token), Err(RemoteError::ForNode)));
        assert!(matches!(Device::planned(folder.path(), None, "localhost", "hello"), Err(RemoteError::Token(_))));
        let token = token.replace("bita1-", "bito1-");
        assert!(matches!(Device::planned(folder.path(), Some("../x"), "localhost", &token), Err(RemoteError::Name(_))));
    }
}
