//! The agent of a master's own machine: a process of its own, so that a grammar that crashes takes no master with it.
//!
//! To the fleet it is a node like every other, linked over the loopback. What concerns the two processes alone passes through
//! its standard input: what it is to be, its key included, which is in no file and no argument; and its end. It never outlives
//! whoever holds the other side, however that one ended.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use bitacora_core::time::Span;
use serde::{Deserialize, Serialize};

use crate::{
    configuration::{Configuration, Settings},
    confine::CommandLimits,
    isolation::{ChildCommand, read_message, write_message},
    life::{Life, LifeError, Stop},
    link::Choice,
    logging::{self, Verbosity},
    net::tls::{Identity, TlsError},
    sense,
    sight::Sight,
};

/// How long it may finish what it runs when it is told to end.
pub const LEAVE_MAX: Span = Span::from_secs(10);
/// In the master's data directory: what this node keeps for itself. Its packs lie with the master's.
const HOME: &str = "agent";

/// What it is to be. Never shown: the key is in it.
#[derive(Serialize, Deserialize)]
pub struct Orders {
    /// Key and certificates, as [`Identity::to_pem`] writes them.
    pub identity: String,
    /// Where its master listens, HOST:PORT.
    pub masters: Vec<String>,
    pub slots: u32,
    /// That commands may run.
    pub programs: BTreeSet<String>,
    /// As its master speaks: how much, and whether in JSON.
    pub log: Option<(Verbosity, bool)>,
}

#[derive(Debug, thiserror::Error)]
pub enum ResidentError {
    #[error("nobody said what this agent is to be")]
    Orders(#[source] io::Error),
    #[error("the certificate that it was given cannot be used")]
    Identity(#[source] TlsError),
    #[error("cannot {operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot start the network's threads")]
    Threads(#[source] io::Error),
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Life(#[from] LifeError),
}

/// The master's side. The child ends when its standard input, which the answer holds, is closed.
pub fn start(command: &ChildCommand, orders: &Orders) -> io::Result<Child> {
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // What a terminal sends to the master is the master's to pass on.
        .process_group(0)
        .spawn()?;
    let stdin = child.stdin.as_mut().expect("it was asked for");
    if let Err(error) = write_message(stdin, orders) {
        child.kill()?;
        child.wait()?;
        return Err(error);
    }
    Ok(child)
}

/// The child's side: the agent's whole life.
pub fn child_main(data: &Path, tell: fn(&str)) -> Result<(), ResidentError> {
    let orders: Orders = read_message(&mut io::stdin()).map_err(ResidentError::Orders)?;
    logging::follow_signals().map_err(ResidentError::Signals)?;
    if let Some((verbosity, as_json)) = orders.log {
        logging::start(verbosity, as_json);
    }
    // Not joined: it ends the process, or ends with it.
    thread::spawn(end_with_master);
    let home = data.join(HOME);
    let _lock = settle(&home)?;
    let life = Life {
        home,
        data: data.to_owned(),
        identity: Identity::from_pem(orders.identity.as_bytes()).map_err(ResidentError::Identity)?,
        masters: orders.masters,
        carrier: Choice::Auto,
        programs: orders.programs,
        command_limits: CommandLimits::default(),
        sight: Sight::Everything,
        configuration: Configuration::fixed(Settings {
            profile: sense::profile(),
            slots: orders.slots,
            leave_max: LEAVE_MAX,
            log: orders.log.unwrap_or_default().0,
        }),
        // They are the master's.
        pack_bytes_max: None,
        // Its master is the same machine.
        listen: Vec::new(),
        lends: false,
        announcement: None,
        tell,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(ResidentError::Threads)?;
    runtime.block_on(async {
        let mut stop = Stop::watch().map_err(ResidentError::Signals)?;
        Ok(life.run(&mut stop).await?)
    })
}

/// Waits for the agent of a master that was killed a moment ago: it is about to end.
fn settle(home: &Path) -> Result<File, ResidentError> {
    let error = |operation| move |source| ResidentError::Io { operation, path: home.to_owned(), source };
    fs::create_dir_all(home).map_err(error("create"))?;
    let lock = File::options().write(true).create(true).truncate(false).open(home.join("lock")).map_err(error("open the lock of"))?;
    lock.lock().map_err(error("lock"))?;
    Ok(lock)
}

/// At once: everything that lasts is written whole or not at all, and commands have supervisors that see this end.
fn end_with_master() {
    let mut nothing = [0; 64];
    while io::stdin().read(&mut nothing).is_ok_and(|read| read > 0) {}
    std::process::exit(0);
}
