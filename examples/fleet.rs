//! A fleet in one program: a master and two agents on loopback, each with a folder of its own. They meet as on a network:
//! over QUIC, with certificates, after each agent has joined by a one-time token. Together they analyse a tree.
//!
//! ```text
//! cargo run --example fleet -- PATH
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures are the output")]

use std::{
    error::Error,
    fs,
    net::SocketAddr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bitacora::{
    control::{self, Answer, Request, Wish},
    data::DataDirectory,
    master::Master,
};
use bitacora_core::{
    fleet::{JobType, NodeSelector, Partitioning, Placement, Priority, Settings},
    ids::{Epoch, Incarnation},
    time::Span,
    wire::task::FileLimits,
};
use fleet_agent::{
    callers::Calls,
    clock,
    command::Commands,
    configuration::{Configuration, Settings as NodeSettings},
    driver::{AgentThread, Config},
    isolation::ChildCommand,
    link::{self, Choice, Dialler},
    net::{
        carrier::{Carrier, Endpoint},
        join::{self, JoinToken},
        quic::{self, ListenerKeys},
        renewal::Credentials,
    },
    sense,
    sight::Sight,
    work::Supply,
};

type Failure = Box<dyn Error + Send + Sync>;

const LOOPBACK: &str = "127.0.0.1:0";
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn main() -> Result<(), Failure> {
    let tree = fs::canonicalize(std::env::args().nth(1).ok_or("usage: fleet PATH")?)?;
    let folder = tempfile::tempdir()?;
    let data = DataDirectory::open(Some(&folder.path().join("master")))?;
    let (master, address) = Serving::start(data.clone())?;
    let runtime = tokio::runtime::Runtime::new()?;
    for name in ["one", "two"] {
        let token = Request::Token { name: name.into(), span: Span::from_secs(60), operator: None };
        let Answer::Token { token, .. } = ask(&data, &token)? else { return Err("the master gave no token".into()) };
        let life = agent(folder.path().join(name), address, token.parse()?);
        runtime.spawn(async move {
            if let Err(error) = life.await {
                eprintln!("{name}: {error}");
            }
        });
    }
    analyse(&data, &tree)?;
    if let Answer::Nodes(nodes) = ask(&data, &Request::Nodes)? {
        for node in nodes {
            println!("{} ({}) is {}", node.name, node.id, node.health);
        }
    }
    // The agents' links first, then the master, and the folder last.
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(master);
    Ok(())
}

/// As any other process would.
fn ask(data: &DataDirectory, request: &Request) -> Result<Answer, Failure> {
    Ok(control::ask(&data.control(), request)?.ok_or("no master serves")?)
}

/// Asks for an analysis, and waits for its end.
fn analyse(data: &DataDirectory, tree: &Path) -> Result<(), Failure> {
    let wish = Wish {
        root: tree.as_os_str().as_bytes().to_vec(),
        job_type: JobType::FullAnalysis,
        priority: Priority::Normal,
        partitioning: Partitioning::Intelligent,
        placement: Placement::Intelligent,
        limits: FileLimits::default(),
        use_cache: true,
        timeout: None,
        selection: Vec::new(),
        after: Vec::new(),
        nodes: NodeSelector::default(),
    };
    let Answer::Submitted(submitted) = ask(data, &Request::Analyse(wish))? else { return Err("the job was not taken".into()) };
    loop {
        match ask(data, &Request::Progress { job: submitted.job })? {
            Answer::Progress(progress) if progress.over => {
                println!("job {} is {}: {} files, {} bytes", submitted.job, progress.status, progress.files_done, progress.bytes_done);
                return if progress.status == "completed" { Ok(()) } else { Err("the job did not complete".into()) };
            }
            _ => thread::sleep(LOOK_EVERY),
        }
    }
}

/// A master on a thread of its own. Dropped, it ends in good order.
struct Serving {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    fn start(data: DataDirectory) -> Result<(Serving, SocketAddr), Failure> {
        let (tell, told) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = stop.clone();
        let thread = thread::spawn(move || {
            let serve = || -> Result<(), Failure> {
                let mut master = Master::open(&data, Settings::for_serving(), |_| {})?;
                tell.send(Ok(master.open_links(LOOPBACK.parse()?, None)?))?;
                master.serve(None, || is_over.load(Ordering::Relaxed), |_| {})?;
                Ok(())
            };
            if let Err(error) = serve() {
                // Somebody hears it who still waits for the address.
                let _ = tell.send(Err(error));
            }
        });
        Ok((Serving { stop, thread: Some(thread) }, told.recv()??))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

/// An agent's whole life: it joins, links, and works until its runtime ends.
async fn agent(folder: PathBuf, master: SocketAddr, token: JoinToken) -> Result<(), Failure> {
    fs::create_dir_all(&folder)?;
    let identity = join::join(&[master], &[Carrier::Quic], &token).await?;
    let cache = fleet_agent::cache::Cache::open(&folder, fleet_agent::analysis::fingerprint())?;
    // It allows no commands, and has no second program for a file that takes its process with it.
    let (uplink, session) = link::uplink(cache.packs().clone(), Commands::none(), &folder);
    let settings = NodeSettings { profile: sense::profile(), slots: 1, ..NodeSettings::default() };
    let config = Config {
        settings: settings.clone(),
        configuration: Configuration::fixed(settings),
        incarnation: Incarnation(clock::now().0),
        data: folder.clone(),
        child: ChildCommand { program: "fleet-agent".into(), arguments: vec!["run-parser".into()] },
        parses_apart: false,
        supply: Some(Supply { fetch: uplink.fetch(), sight: Sight::Nothing }),
        epoch: (Epoch(0), None),
        audit_head: None,
        commands: Commands::none(),
        pack_bytes_max: None,
        gives_way: true,
        neighbours: None,
        tell: |_| {},
    };
    let agent = AgentThread::start(config, clock::now, move |message| uplink.say(message))?;
    let endpoint = Endpoint::dialling(LOOPBACK.parse()?, &identity, &ListenerKeys::fresh()?, quic::Settings::default())?;
    let dialler = Dialler::new(endpoint, vec![master.to_string()], Choice::Quic);
    Err(session.run(dialler, Calls::none(), Credentials::new(identity, &folder), |heard| heard.pass_to(&agent), |_| {}).await.into())
}
