//! How this node comes to belong to a fleet: it does already, by a token, or by a code that a person types at the master.

use std::{
    fs::{self, File},
    io::{self, Read},
    net::SocketAddr,
    path::Path,
    time::SystemTime,
};

use anyhow::{Context, bail};
use fleet_agent::{
    life, link,
    logging::tell,
    net::{
        discovery::{Announcement, DiscoveryError, KeyId, State, clean_name},
        join::{self, Holder, JoinToken},
        pairing::{MASTERS_MAX, PairError, PairListener, PairingCode, Rules, Trouble, masters},
        tls::{Identity, NodeKey, TlsError, private_file},
    },
    sense,
    work::with_cause,
};

use super::{Arguments, agent::places};

/// A join token is one line of about a hundred characters.
const TOKEN_BYTES_MAX: u64 = 4096;
const CODE_FILE: &str = "pairing-code";
const MASTERS_FILE: &str = "master";

/// What makes this node one of a fleet.
pub struct Membership {
    pub identity: Identity,
    /// Where the master may be, HOST:PORT.
    pub masters: Vec<String>,
    /// Says so on the local network for as long as it is kept.
    pub announcement: Option<Announcement>,
}

/// Waits for a person, if it must.
pub async fn membership(arguments: &Arguments, data: &Path) -> anyhow::Result<Membership> {
    let given = &arguments.peers;
    match (Identity::load(data), &arguments.join_file) {
        // Nobody takes it any more, so nothing is lost with it.
        (Ok(identity), Some(file)) if identity.peer().is_void(SystemTime::now()) => by_token(arguments, file, data, masters_of(given, data)?).await,
        (Ok(identity), token) => {
            if token.is_some() {
                tell("this node belongs to a fleet already; the token is used if that fleet does not know it any more");
            }
            let masters = masters_of(given, data)?;
            let announcement = announcement(arguments, KeyId::of(&identity.public()?));
            Ok(Membership { identity, masters, announcement })
        }
        (Err(TlsError::Io { source, .. }), token) if source.kind() == io::ErrorKind::NotFound => match token {
            Some(file) => {
                let masters = masters_of(given, data)?;
                by_token(arguments, file, data, masters).await
            }
            None => by_code(arguments, data, given.iter().map(|given| checked(given)).collect::<anyhow::Result<_>>()?).await,
        },
        // A key that is there and cannot be used is not thrown away unasked.
        (Err(error), _) => Err(error.into()),
    }
}

/// By a token, though it belongs to a fleet already: that fleet says otherwise.
pub async fn joined_again(arguments: &Arguments, file: &Path, data: &Path) -> anyhow::Result<Membership> {
    by_token(arguments, file, data, masters_of(&arguments.peers, data)?).await
}

async fn by_token(arguments: &Arguments, file: &Path, data: &Path, masters: Vec<String>) -> anyhow::Result<Membership> {
    let token: JoinToken = read_token(file)?.parse().map_err(|error| anyhow::anyhow!("{} holds no token: {error}", file.display()))?;
    if token.holder() != Holder::Node {
        bail!("{} holds a token for a person's device: `bitacora join` takes it", file.display());
    }
    let addresses = link::addresses(&masters).await?;
    let places: Vec<String> = addresses.iter().filter_map(|address| join::address_beside(*address)).map(|address| address.to_string()).collect();
    tell(&format!("joins with a token at {}", places.join(", ")));
    let joined = join::join(&addresses, link::Choice::from(arguments.carrier).carriers(), &token).await;
    let identity = joined.map_err(|error| if error.is_unreached() { anyhow::Error::from(error).context(unheard(&places)) } else { error.into() })?;
    identity.save(data)?;
    let announcement = announcement(arguments, KeyId::of(&identity.public()?));
    Ok(Membership { identity, masters, announcement })
}

/// What may be amiss, from the outside in.
fn unheard(places: &[String]) -> String {
    let places = places.join(", ");
    format!("cannot reach a master at {places}: is it there, is that port open between here and there, and is a token still open (`bitacora node token`)?")
}

fn read_token(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match file.as_os_str().as_encoded_bytes() {
        b"-" => io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text),
        _ => File::open(file).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text)
}

async fn by_code(arguments: &Arguments, data: &Path, given: Vec<String>) -> anyhow::Result<Membership> {
    let (name, key_id) = (name(arguments), KeyId::of(NodeKey::load_or_create(data)?.public()));
    let listener = wait_on(places(arguments), &name, data)?;
    let port = listener.local_address().context("the socket for pairing has no address")?.port();
    tell(&format!("{name} ({key_id}) belongs to no fleet and waits on port {port}, UDP and TCP, to be paired"));
    let mut announcement = announcement(arguments, key_id);
    life::announce(announcement.as_mut(), State::Unpaired, port, tell);

    let admission = listener.paired(|code| show(&name, code, data), say_trouble).await?;
    admission.identity.save(data)?;
    let told = masters(admission.from, &admission.told);
    let masters: Vec<String> = given.into_iter().chain(told.iter().map(ToString::to_string)).collect();
    remember(&masters, data)?;
    // What is left of them is of no use to anybody.
    let _ = fs::remove_file(data.join(CODE_FILE));
    NodeKey::forget(data);
    let identity = admission.identity.clone();
    tell(&format!("paired: this is node {} now", identity.peer().node));
    life::announce(announcement.as_mut(), State::Paired(None), 0, tell);
    admission.keep().await;
    Ok(Membership { identity, masters, announcement })
}

/// On the first address that can be had.
fn wait_on(addresses: Vec<SocketAddr>, name: &str, data: &Path) -> anyhow::Result<PairListener> {
    let mut failed = None;
    for address in addresses {
        match PairListener::open(address, name.to_owned(), NodeKey::load_or_create(data)?, Rules::default()) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or(PairError::Left)).context("cannot wait to be paired")
}

fn show(name: &str, code: &PairingCode, data: &Path) {
    // Whoever does not find the log finds the file; only its owner can read it.
    if let Err(error) = private_file::write(data, CODE_FILE, format!("{code}\n").as_bytes()) {
        tell(&format!("the code is not in {}: {}", data.join(CODE_FILE).display(), with_cause(&error)));
    }
    let minutes = Rules::default().code_max.as_secs() / 60;
    tell(&format!("pairing code {code}, good for {minutes} minutes: `bitacora node pair {name}` asks for it"));
}

fn say_trouble(trouble: Trouble) {
    match trouble {
        Trouble::WrongCode { from, tries_left } => tell(&format!("a wrong pairing code came from {from}; {tries_left} tries are left")),
        Trouble::Failed(error) => tell(&format!("the pairing came to nothing: {}", with_cause(&error))),
    }
}

/// `None` where it was not wanted or does not work: everything goes on without.
fn announcement(arguments: &Arguments, key: KeyId) -> Option<Announcement> {
    let unannounced = |error: &DiscoveryError| tell(&life::unannounced(error));
    if arguments.no_discovery { None } else { Announcement::new(name(arguments), key).inspect_err(unannounced).ok() }
}

/// As given, or the machine's.
fn name(arguments: &Arguments) -> String {
    arguments.name.clone().unwrap_or_else(sense::machine_name)
}

/// For `--name`.
pub fn parse_name(name: &str) -> Result<String, String> {
    let clean = clean_name(name).filter(|clean| clean == name);
    clean.ok_or_else(|| "a name has no white space and no control characters, and at most 63 letters".into())
}

/// Where the master is, HOST:PORT: as given, which is remembered, or as remembered. Names are looked up whenever it is dialled.
fn masters_of(given: &[String], data: &Path) -> anyhow::Result<Vec<String>> {
    if !given.is_empty() {
        let masters: Vec<String> = given.iter().take(MASTERS_MAX).map(|given| checked(given)).collect::<anyhow::Result<_>>()?;
        remember(&masters, data)?;
        return Ok(masters);
    }
    let lines = fs::read_to_string(data.join(MASTERS_FILE)).context("the master's address is not known: give it with --peer HOST:PORT")?;
    let masters: Vec<String> = lines.lines().take(MASTERS_MAX).map(checked).collect::<anyhow::Result<_>>()?;
    if masters.is_empty() { bail!("{} is empty: give the master's address with --peer HOST:PORT", data.join(MASTERS_FILE).display()) } else { Ok(masters) }
}

fn checked(master: &str) -> anyhow::Result<String> {
    let master = master.trim();
    let port = master.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        bail!("{master:?} is no address: it takes HOST:PORT");
    }
    Ok(master.to_owned())
}

fn remember(masters: &[String], data: &Path) -> anyhow::Result<()> {
    let place = data.join(MASTERS_FILE);
    fs::write(&place, masters.join("\n")).with_context(|| format!("cannot write {}", place.display()))
}
