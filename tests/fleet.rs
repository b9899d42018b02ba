//! A fleet of real processes on loopback: joined by token, analysing a tree together, killed at bad moments.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use bitacora::trust::Safe;
use fleet_agent::net::tls::Identity;
use serde_json::Value;

use super::support::{Place, Timeless, report, skip, timeless};

/// For everything that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const TRIES_MAX: usize = 5;

/// A process that ends with its test.
pub(super) struct Process(pub(super) Child);

impl Process {
    pub(super) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits until it has ended by itself.
    pub(super) fn ended(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }

    pub(super) fn terminate(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A place with a master that serves it.
pub(super) struct Fleet {
    pub(super) place: Place,
    pub(super) address: String,
    pub(super) master: Option<Process>,
    /// Further arguments of the master, and what is in its environment.
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

impl Fleet {
    pub(super) fn new() -> Fleet {
        Fleet::with(&[], &[])
    }

    /// With a master that is given these arguments and finds this in its environment.
    pub(super) fn with(arguments: &[&str], environment: &[(&'static str, &str)]) -> Fleet {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let environment = environment.iter().map(|(name, value)| (*name, value.to_string())).collect();
        let mut fleet = Fleet { place: Place::new(), address: "127.0.0.1:0".into(), master: None, arguments, environment };
        fleet.serve();
        fleet
    }

    /// Of a master that was started elsewhere, if it was.
    pub(super) fn of(place: Place, address: String, master: Option<Process>) -> Fleet {
        Fleet { place, address, master, arguments: Vec::new(), environment: Vec::new() }
    }

    /// Starts the master, on the port that it had before. The port after a free one may be another test's.
    pub(super) fn serve(&mut self) {
        self.serve_with(&[]);
    }

    pub(super) fn serve_with(&mut self, arguments: &[&str]) {
        let started = (0..TRIES_MAX).find_map(|_| self.try_to_serve(arguments));
        let (address, master) = started.expect("two ports that follow one another are free");
        (self.address, self.master) = (address, Some(master));
    }

    fn try_to_serve(&self, arguments: &[&str]) -> Option<(String, Process)> {
        let mut command = self.place.bitacora(&["serve", "--no-discovery", "--listen", &self.address]);
        command.args(&self.arguments).args(arguments).envs(self.environment.iter().cloned());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let master = Process(child);
        let line = lines.next()?.unwrap();
        let address = line.strip_prefix("listening on ")?.split(' ').next()?.to_owned();
        // Drained, or the master would wait for room.
        thread::spawn(move || lines.for_each(drop));
        Some((address, master))
    }

    /// Where its authority lies.
    pub(super) fn safe(&self) -> Safe {
        Safe::new(self.place.data().join("trust"), self.place.state().join("bitacora/keys"))
    }

    pub(super) fn token(&self, name: &str) -> String {
        let output = self.place.run(&["node", "token", name]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.place.path(&format!("agent-{name}"))
    }

    pub(super) fn agent(&self, name: &str) -> Command {
        self.agent_of(name, &self.address)
    }

    /// One that is told of a master somewhere.
    pub(super) fn agent_of(&self, name: &str, master: &str) -> Command {
        let mut command = Command::new(agent_program());
        // Not as a flag, which a test may give.
        command.env("BITACORA_AGENT_CORES", "1").arg("--data-dir").arg(self.folder(name)).args(["--no-discovery", "--peer", master]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts an agent that joins with a token on its stdin.
    pub(super) fn join(&self, name: &str) -> Process {
        self.join_with(name, &[])
    }

    pub(super) fn join_with(&self, name: &str, arguments: &[&str]) -> Process {
        let token = self.token(name);
        let mut child = self.agent(name).args(arguments).args(["--join-file", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
        self.wait_for(name, "healthy");
        Process(child)
    }

    /// Starts an agent that has joined before.
    pub(super) fn restart(&self, name: &str) -> Process {
        Process(self.agent(name).spawn().unwrap())
    }

    pub(super) fn nodes(&self) -> Vec<Value> {
        report(&self.place.run(&["node", "ls", "-o", "json"]), 0)["items"].as_array().unwrap().clone()
    }

    /// What `node show` says of one.
    pub(super) fn node(&self, name: &str) -> Value {
        report(&self.place.run(&["node", "show", name, "-o", "json"]), 0)["items"][0].clone()
    }

    pub(super) fn wait_for(&self, name: &str, health: &str) {
        until(|| self.nodes().iter().any(|node| node["name"] == name && node["health"] == health));
    }

    pub(super) fn jobs(&self) -> Vec<Value> {
        report(&self.place.run(&["job", "ls", "-o", "json"]), 0)["items"].as_array().unwrap().clone()
    }

    pub(super) fn sparks_done(&self) -> u64 {
        self.jobs().iter().map(|job| job["sparks_done"].as_u64().unwrap()).sum()
    }

    /// Begins an analysis over the fleet.
    pub(super) fn begin(&self) -> Child {
        self.begin_with(&[])
    }

    pub(super) fn begin_with(&self, arguments: &[&str]) -> Child {
        let tree = self.place.tree();
        let mut command = self.place.bitacora(&["analyze", tree.to_str().unwrap(), "-o", "json"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The report that one machine makes of the same tree.
    pub(super) fn local(&self) -> Timeless {
        let data = self.place.path("alone");
        let output =
            Command::new(env!("CARGO_BIN_EXE_bitacora")).arg("--data-dir").arg(data).arg("analyze").arg(self.place.tree()).args(["-o", "json"]).output();
        outcome(&output.unwrap())
    }
}

/// Another package's program, which lies beside this one's when the whole workspace was built.
/// The identity of a node that has joined, and whose place the test takes.
pub(super) fn place_of(fleet: &Fleet, name: &str) -> Identity {
    // With a goodbye: nothing is given to a link that is believed to be there.
    fleet.join(name).terminate();
    until(|| fleet.node(name)["linked"] == false);
    Identity::load(&fleet.folder(name)).unwrap()
}

pub(super) fn agent_program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_bitacora")).with_file_name("fleet-agent");
        let version = Command::new(&program).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
        assert!(String::from_utf8_lossy(&version).contains(fleet_agent::BUILD), "{} is not of today: cargo test --workspace", program.display());
        program
    })
}

pub(super) fn until(done: impl FnMut() -> bool) {
    until_or(done, || "it does not come".to_owned());
}

pub(super) fn until_or(mut done: impl FnMut() -> bool, otherwise: impl Fn() -> String) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{}", otherwise());
        thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn outcome(output: &Output) -> Timeless {
    report(output, 0);
    Timeless::of(&output.stdout)
}

/// As many bytes that a job of several sparks is under way when something happens to it.
pub(super) fn grow(place: &Place) {
    place.fill(150);
    for number in 0..12 {
        let line = |line: usize| format!("def big_{number}_{line}(a, b):\n    return [x for x in range(a) if x and b or x == {line}]\n");
        place.write(&format!("big/f{number}.py"), (0..3000).map(line).collect::<String>());
    }
}

#[test]
fn two_agents_make_the_report_of_one_machine() {
    let fleet = Fleet::new();
    grow(&fleet.place);
    fleet.place.write("bin.c", b"\0\0");
    fleet.place.write("run", "#!/usr/bin/env python3\ndef f(): pass\n");
    fleet.place.write("what", "nothing known\n");
    let (one, two) = (fleet.join("one"), fleet.join("two"));
    let together = outcome(&fleet.begin().wait_with_output().unwrap());
    assert_eq!(together, fleet.local());
    let again = outcome(&fleet.begin().wait_with_output().unwrap());
    assert_eq!(again, together, "and again");
    let found = report(&fleet.place.run(&["symbols", "big_3_7", "-o", "json"]), 0);
    assert_eq!(found["items"][0]["fit"], "exact", "its packs came with the results");
    let nodes = report(&fleet.place.run(&["node", "ls", "-o", "json"]), 0);
    let schema = report(&fleet.place.run(&["schema", "nodes"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&nodes), "{nodes}");
    assert_eq!((one.terminate(), two.terminate()), (Some(0), Some(0)));
}

#[test]
fn a_removed_node_is_out_at_once_and_stays_out() {
    let fleet = Fleet::new();
    let mut one = fleet.join("one");
    assert_eq!(fleet.place.run(&["node", "rm", "one"]).status.code(), Some(9), "it asks for --yes");
    assert_eq!(fleet.place.run(&["node", "rm", "one", "--yes"]).status.code(), Some(0));
    assert_eq!(one.0.wait().unwrap().code(), Some(4));
    assert_eq!(fleet.restart("one").0.wait().unwrap().code(), Some(4), "its certificate is worth nothing");
    assert!(fleet.nodes().is_empty());
    assert_eq!(fleet.place.run(&["node", "rm", "one", "--yes"]).status.code(), Some(5));
}

#[test]
fn a_node_tells_what_it_is_and_is_judged_by_what_it_did() {
    let fleet = Fleet::new();
    fleet.place.fill(10);
    let one = fleet.join("one");
    until(|| fleet.node("one")["memory_bytes"].as_u64() > Some(0));
    let node = fleet.node("one");
    assert_eq!((&node["linked"], &node["slots"], &node["finished"]), (&true.into(), &1.into(), &0.into()));
    assert_eq!(node["build"], fleet_agent::BUILD);
    for figure in ["cores", "memory_available_bytes", "disk_bytes", "disk_free_bytes"] {
        assert!(node[figure].as_u64() > Some(0), "{figure} of {node}");
    }
    outcome(&fleet.begin().wait_with_output().unwrap());
    let node = fleet.node("one");
    assert!(node["finished"].as_u64() > Some(0) && node["bytes_per_second"].as_u64() > Some(0) && node["average_seconds"].as_f64() > Some(0.0), "{node}");
    assert_eq!((&node["failed"], &node["holds"]), (&0.into(), &Value::Array(Vec::new())));
    one.kill();
    until(|| fleet.node("one")["linked"] == false);
    let gone = fleet.node("one");
    assert_eq!((&gone["host"], &gone["finished"]), (&node["host"], &node["finished"]), "it is asked about just then");
    let document = report(&fleet.place.run(&["node", "show", "one", "-o", "json"]), 0);
    let schema = report(&fleet.place.run(&["schema", "node"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&document), "{document}");
    let said = String::from_utf8(fleet.place.run(&["node", "show", "one", "-o", "table"]).stdout).unwrap();
    assert!(said.contains("throughput") && said.lines().any(|line| line.split_whitespace().eq(["link", "none"])), "{said}");
    assert_eq!(fleet.place.run(&["node", "show", "nobody"]).status.code(), Some(5));
}

#[test]
fn a_cordoned_node_is_given_nothing() {
    let fleet = Fleet::new();
    fleet.place.fill(3);
    let _one = fleet.join("one");
    assert_eq!(fleet.place.run(&["node", "cordon", "one"]).status.code(), Some(0));
    let mut analysis = fleet.begin();
    until(|| !fleet.jobs().is_empty());
    assert_eq!(fleet.sparks_done(), 0);
    assert!(analysis.try_wait().unwrap().is_none(), "it waits");
    assert_eq!(fleet.place.run(&["node", "uncordon", "one"]).status.code(), Some(0));
    assert_eq!(outcome(&analysis.wait_with_output().unwrap()), fleet.local());
}

#[test]
fn a_token_is_good_once_and_another_fleet_is_refused() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let (token, _open) = (fleet.token("one"), (fleet.token("two"), other.token("two")));
    let file = fleet.place.path("token");
    fs::write(&file, &token).unwrap();
    let join = |name: &str, fleet: &Fleet| fleet.agent(name).arg("--join-file").arg(&file).spawn().unwrap();
    assert_eq!(join("stranger", &other).wait().unwrap().code(), Some(4), "a token of another authority");
    let _one = Process(join("one", &fleet));
    fleet.wait_for("one", "healthy");
    assert_eq!(join("again", &fleet).wait().unwrap().code(), Some(4), "it was used");
    fs::write(&file, token.replace("bita1-", "bita1-0")).unwrap();
    assert_eq!(join("wrong", &fleet).wait().unwrap().code(), Some(1), "it is none");
    assert!(other.nodes().is_empty());
    assert_eq!(fleet.nodes().len(), 1);
}

#[test]
fn a_master_that_is_not_there_is_named_to_whoever_joins() {
    let fleet = Fleet::new();
    let file = fleet.place.path("token");
    fs::write(&file, fleet.token("one")).unwrap();
    // The last port of all has none after it, and this one nobody has.
    let unheard = "cannot reach a master";
    for (master, told) in [
        ("127.0.0.1:1", ["127.0.0.1:2", unheard]),
        ("127.0.0.1:65535", ["no address of the master", unheard]),
        ("no-such-host.invalid:7411", ["no-such-host.invalid", "cannot find out where"]),
    ] {
        let agent = fleet.agent_of("one", master).arg("--join-file").arg(&file).stderr(Stdio::piped()).spawn().unwrap();
        let ended = agent.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(7), "{said}");
        assert!(told.iter().all(|told| said.contains(told)), "{said}");
    }
    let _one = Process(fleet.agent("one").arg("--join-file").arg(&file).spawn().unwrap());
    fleet.wait_for("one", "healthy");
    let link = &fleet.node("one")["link"];
    assert_eq!(link["carrier"], "quic");
    assert!(link["address"].as_str().unwrap().starts_with("127.0.0.1:") && link["round_trip_seconds"].as_f64() > Some(0.0), "{link}");
}

#[test]
fn without_a_master_that_serves_there_is_nobody_to_ask() {
    let place = Place::new();
    assert_eq!(place.run(&["node", "ls"]).status.code(), Some(7));
    assert_eq!(place.run(&["node", "rm", "a", "--yes"]).status.code(), Some(7));
}

#[test]
fn over_a_websocket_the_report_is_the_same() {
    let fleet = Fleet::new();
    grow(&fleet.place);
    let (token, log) = (fleet.place.path("token"), fleet.place.path("log"));
    fs::write(&token, fleet.token("one")).unwrap();
    let mut agent = fleet.agent("one");
    agent.args(["--carrier", "websocket", "--join-file"]).arg(&token).stderr(fs::File::create(&log).unwrap());
    let one = Process(agent.spawn().unwrap());
    fleet.wait_for("one", "healthy");
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), fleet.local());
    assert!(fs::read_to_string(&log).unwrap().contains("linked with the master over websocket"));
    let said = fleet.place.run(&["node", "rm", "one", "--yes"]);
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    let mut one = one;
    assert_eq!(one.0.wait().unwrap().code(), Some(4), "a removed node is shown out");
    let _again = fleet.join("one");
}

/// A fleet in a network namespace of its own, with rules for its packets.
struct Faults {
    report: Value,
    /// Packets that the rules dropped.
    dropped: u64,
    /// What the agent said.
    agent: String,
}

/// `None` where the machine has no such namespaces.
fn analyse_under(place: &Place, rules: &str) -> Option<Faults> {
    let script = r#"
        set -e
        ip link set lo up
        nft "table inet faults { chain out { type filter hook output priority 0; $5; }; }"
        "$1" --data-dir "$3/m" serve --listen 127.0.0.1:7555 2>"$3/m.log" &
        until [ -e "$3/m/control" ]; do sleep 0.05; done
        "$1" --data-dir "$3/m" node token one >"$3/token" 2>/dev/null
        "$2" --data-dir "$3/a" --peer 127.0.0.1:7555 --join-file "$3/token" --cores 2 2>"$3/a.log" &
        timeout 100 "$1" --data-dir "$3/m" analyze "$4" -o json >"$3/report.json"
        nft list chain inet faults out >&2
        kill %1 %2
        wait
    "#;
    let work = place.path("work");
    fs::create_dir_all(work.join("m")).unwrap();
    let mut command = Command::new("unshare");
    command.env("XDG_STATE_HOME", place.state());
    command.args(["-Urn", "bash", "-c", script, "bash", env!("CARGO_BIN_EXE_bitacora")]).arg(agent_program()).arg(&work).arg(place.tree()).arg(rules);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare") || said.contains("nft: command not found") || said.contains("Could not process rule") {
        skip("network namespaces with nftables");
        return None;
    }
    let agent = fs::read_to_string(work.join("a.log")).unwrap_or_default();
    let counters = said.split("counter packets ").skip(1).map(|rest| rest.split(' ').next().and_then(|count| count.parse::<u64>().ok()));
    let dropped = counters.map(|count| count.unwrap_or_else(|| panic!("{said}"))).sum();
    let report = fs::read(work.join("report.json")).ok().and_then(|report| serde_json::from_slice(&report).ok());
    Some(Faults { report: report.unwrap_or_else(|| panic!("no report: {said}, {agent}")), dropped, agent })
}

#[test]
fn where_udp_is_blocked_a_websocket_carries_the_fleet() {
    let place = Place::new();
    grow(&place);
    // Joining has the port after it.
    let Some(faults) = analyse_under(&place, "udp dport 7555-7556 counter drop; udp sport 7555-7556 counter drop") else { return };
    assert!(faults.dropped > 0, "QUIC was tried first");
    assert!(faults.agent.contains("linked with the master over websocket"), "{}", faults.agent);
    assert_eq!(timeless(faults.report), timeless(place.analyse(0)));
}

#[test]
fn what_lies_on_a_node_s_own_disk_is_not_brought_to_it() {
    let fleet = Fleet::new();
    fleet.place.fill(20);
    let clone = fleet.place.path("clone");
    assert!(Command::new("cp").arg("-r").arg(fleet.place.tree()).arg(&clone).status().unwrap().success());
    // A clone is seldom quite the same.
    fleet.place.write("later.py", "def later(): pass\n");
    let _one = fleet.join_with("one", &["--sources", &format!("{}={}", fleet.place.tree().display(), clone.display())]);
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), fleet.local());
    until(|| fleet.node("one")["from_master_bytes"].as_u64() > Some(0));
    let brought = fleet.node("one")["from_master_bytes"].as_u64().unwrap();
    assert!(brought < 200, "{brought} bytes for a file of 18, beside twenty that are there");
}

#[test]
fn a_project_runs_where_it_was_assigned() {
    let fleet = Fleet::new();
    fleet.place.fill(3);
    let _one = fleet.join("one");
    outcome(&fleet.begin().wait_with_output().unwrap());
    let name = report(&fleet.place.run(&["project", "ls", "-o", "json"]), 0)["items"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(fleet.place.run(&["project", "assign", &name, "two"]).status.code(), Some(0));
    fleet.place.write("new.py", "def added(): pass\n");
    let mut analysis = fleet.begin();
    until(|| fleet.jobs().len() == 2);
    let job = fleet.jobs()[1]["id"].as_str().unwrap().to_owned();
    let explained = fleet.place.run(&["job", "explain", &job]);
    assert!(String::from_utf8_lossy(&explained.stdout).contains("two"), "{}", String::from_utf8_lossy(&explained.stdout));
    assert!(analysis.try_wait().unwrap().is_none(), "it waits for a node that it may run on");
    assert_eq!(fleet.place.run(&["project", "assign", &name]).status.code(), Some(0), "anywhere again");
    outcome(&analysis.wait_with_output().unwrap());
    assert_eq!(fleet.place.run(&["project", "rename", &name, "other"]).status.code(), Some(0), "with a master that serves");
    assert_eq!(fleet.place.run(&["project", "rm", "other", "--yes"]).status.code(), Some(0));
}

/// A node that shows a code, and its log.
pub(super) struct Waiting {
    process: Process,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Waiting {
    pub(super) fn start(fleet: &Fleet, name: &str) -> Waiting {
        let mut command = Command::new(agent_program());
        command.arg("--data-dir").arg(fleet.folder(name)).args(["--no-discovery", "--listen", "127.0.0.1:0", "--cores", "1", "--name", name]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Waiting { process: Process(child), lines }
    }

    /// Its next line that holds this text.
    pub(super) fn line(&mut self, what: &str) -> String {
        self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(what)).unwrap()
    }

    pub(super) fn address(&mut self) -> String {
        let line = self.line("waits on port ");
        format!("127.0.0.1:{}", line.split("waits on port ").nth(1).unwrap().split(',').next().unwrap())
    }

    pub(super) fn code(&mut self) -> String {
        self.line("pairing code ").split(' ').nth(2).unwrap().trim_end_matches(',').to_owned()
    }
}

pub(super) fn pair(fleet: &Fleet, arguments: &[&str], code: &str) -> Option<i32> {
    let mut child = fleet.place.bitacora(&[&["node", "pair"], arguments].concat()).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // It may have ended without asking.
    let _ = child.stdin.take().unwrap().write_all(format!("{code}\n").as_bytes());
    child.wait().unwrap().code()
}

#[test]
fn a_node_is_paired_by_the_code_that_it_shows() {
    let fleet = Fleet::new();
    fleet.place.fill(3);
    let mut waiting = Waiting::start(&fleet, "ada");
    let (address, code) = (waiting.address(), waiting.code());
    assert_eq!((pair(&fleet, &[&address, "--dry-run"], ""), pair(&fleet, &["nobody", "--dry-run"], "")), (Some(10), Some(9)));
    let wrong = if code.starts_with('0') { "1111-1111" } else { "0000-0000" };
    assert_eq!(pair(&fleet, &[&address], wrong), Some(4));
    waiting.line("a wrong pairing code");
    assert_eq!(pair(&fleet, &[&address], "what?"), Some(4), "and costs no try");
    assert_eq!(pair(&fleet, &["ada"], &code), Some(9), "nobody listens for names here");
    assert!(fleet.nodes().is_empty());
    // The node takes no code for a while after a wrong one, and says so.
    until(|| pair(&fleet, &[&address, "--name", "grace"], &code.to_lowercase()) == Some(0));
    fleet.wait_for("grace", "healthy");
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), fleet.local(), "without a restart");
    assert!(!fleet.folder("ada").join("pairing-code").exists());
    assert_eq!(pair(&fleet, &[&address], &code), Some(7), "nobody waits there any more");
    waiting.process.kill();
    until(|| fleet.nodes()[0]["health"] != "healthy");
    let _again = Waiting::start(&fleet, "ada");
    fleet.wait_for("grace", "healthy");
    assert_eq!(fleet.nodes().len(), 1);
}

/// In a network namespace of its own, which has nothing but `lo`.
#[test]
fn a_node_is_found_by_its_name_and_paired() {
    let place = Place::new();
    place.fill(3);
    let script = r#"
        set -e
        ip link set lo up
        trap 'kill $(jobs -p)' EXIT
        "$1" --data-dir "$3/m" serve --listen 127.0.0.1:7555 2>"$3/m.log" &
        "$2" --data-dir "$3/a" --name ada --cores 2 2>"$3/a.log" &
        until [ -S "$3/m/control" ]; do sleep 0.05; done
        run() { timeout 60 "$1" --data-dir "$W/m" "${@:2}"; }
        W="$3"
        until run "$1" node discover -o name | grep -qx ada; do sleep 0.05; done
        run "$1" node discover -o json >"$3/seen.json"
        run "$1" node pair nobody </dev/null 2>/dev/null || echo "nobody: $?" >&2
        sed -n 's/^pairing code \([^,]*\),.*/\1/p' "$3/a.log" | tail -n 1 | run "$1" node pair ada
        timeout 100 "$1" --data-dir "$3/m" analyze "$4" -o json >"$3/report.json"
        run "$1" node ls -o json >"$3/nodes.json"
        until run "$1" node discover -o plain | grep -q 'ada.*[[:space:]]paired'; do sleep 0.05; done
        echo 0000-0000 | run "$1" node pair ada 2>/dev/null || echo "again: $?" >&2
        kill -TERM %2
        until [ -z "$(run "$1" node discover -o name 2>/dev/null)" ]; do sleep 0.05; done
    "#;
    let work = place.path("work");
    fs::create_dir_all(work.join("m")).unwrap();
    let mut command = Command::new("timeout");
    command.env("XDG_STATE_HOME", place.state());
    command.args(["120", "unshare", "-Urn", "bash", "-c", script, "bash", env!("CARGO_BIN_EXE_bitacora")]).arg(agent_program()).arg(&work).arg(place.tree());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare") {
        return skip("network namespaces");
    }
    let log = |name: &str| fs::read_to_string(work.join(name)).unwrap_or_default();
    assert!(output.status.success(), "{said}\nmaster: {}\nagent: {}", log("m.log"), log("a.log"));
    assert!(said.contains("nobody: 5"), "{said}");
    assert!(said.contains("again: 9"), "{said}");
    let read = |name: &str| -> Value { serde_json::from_str(&log(name)).unwrap() };
    let (seen, nodes) = (read("seen.json"), read("nodes.json"));
    let schema = report(&place.run(&["schema", "discovered"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&seen), "{seen}");
    assert_eq!((&seen["items"][0]["name"], &seen["items"][0]["state"]), (&"ada".into(), &"unpaired".into()));
    assert_eq!(nodes["items"][0]["name"], "ada");
    assert_eq!(timeless(read("report.json")), timeless(place.analyse(0)));
}

/// Two machines on one wire, without a router and without an address but those of the link: each needs its interface beside it.
#[test]
fn a_node_on_a_bare_wire_is_found_and_paired() {
    let place = Place::new();
    let script = r#"
        set -e
        ip link set lo up
        trap 'kill $(jobs -p)' EXIT
        unshare -n sleep 1000 &
        PEER=$!
        there() { nsenter -t "$PEER" -n "$@"; }
        until [ "$(readlink /proc/$PEER/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
        ip link add here type veth peer name there
        ip link set there netns "$PEER"
        ip link set here up
        there ip link set there up
        ready() { ip -6 addr show dev here scope link | grep inet6 | grep -qv tentative; }
        ready_there() { there ip -6 addr show dev there scope link | grep inet6 | grep -qv tentative; }
        until ready && ready_there; do sleep 0.05; done
        "$1" --data-dir "$3/m" serve --listen '[::]:7555' 2>"$3/m.log" &
        nsenter -t "$PEER" -n "$2" --data-dir "$3/a" --name ada --cores 1 2>"$3/a.log" &
        until [ -S "$3/m/control" ]; do sleep 0.05; done
        run() { timeout 60 "$1" --data-dir "$W/m" "${@:2}"; }
        W="$3"
        until run "$1" node discover -o plain | grep -q 'fe80.*%.*]:'; do sleep 0.05; done
        run "$1" node discover -o plain >&2
        sed -n 's/^pairing code \([^,]*\),.*/\1/p' "$3/a.log" | tail -n 1 | run "$1" node pair ada
        until run "$1" node ls -o plain | grep -q 'ada.*healthy'; do sleep 0.05; done
    "#;
    let work = place.path("work");
    fs::create_dir_all(work.join("m")).unwrap();
    let mut command = Command::new("timeout");
    command.env("XDG_STATE_HOME", place.state());
    command.args(["120", "unshare", "-Urn", "bash", "-c", script, "bash", env!("CARGO_BIN_EXE_bitacora")]).arg(agent_program()).arg(&work);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare") || said.contains("RTNETLINK") {
        return skip("network namespaces with veth pairs");
    }
    let log = |name: &str| fs::read_to_string(work.join(name)).unwrap_or_default();
    assert!(output.status.success(), "{said}\nmaster: {}\nagent: {}", log("m.log"), log("a.log"));
    assert!(!said.contains("10."), "there is no other address: {said}");
}

/// The names that a project's last result has of these.
fn known_names(fleet: &Fleet, names: &[&str]) -> Vec<bool> {
    let found = |name: &&str| fleet.place.run(&["symbols", name, "-o", "json"]);
    let exact = |output: Output| {
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        found["items"].as_array().is_some_and(|items| items.iter().any(|item| item["fit"] == "exact"))
    };
    names.iter().map(|name| exact(found(name))).collect()
}

#[test]
fn a_part_and_the_whole_of_a_tree_at_once_lose_nothing_of_each_other() {
    // Whichever ends last was listed on a result that is not the last one any more.
    for (whole, part) in [("critical", "background"), ("background", "critical")] {
        let fleet = Fleet::new();
        fleet.place.write("one.c", "int old_one(void) { return 1; }\n");
        fleet.place.write("two.c", "int old_two(void) { return 2; }\n");
        let _agent = fleet.join("a");
        outcome(&fleet.begin().wait_with_output().unwrap());
        assert_eq!(fleet.place.run(&["node", "cordon", "a"]).status.code(), Some(0));
        fleet.place.write("one.c", "int new_one(void) { return 1; }\n");
        fleet.place.write("two.c", "int new_two(void) { return 22; }\n");
        let begun = |count: usize| until(|| fleet.jobs().len() == count);
        let whole = fleet.begin_with(&["--priority", whole]);
        begun(2);
        // As the one who looks later finds it; the other one's look at it is over.
        fleet.place.write("one.c", "int newest_one(void) { return 111; }\n");
        let part = fleet.begin_with(&["--priority", part, "--only", "one.c"]);
        begun(3);
        assert_eq!(fleet.place.run(&["node", "uncordon", "a"]).status.code(), Some(0));
        let (whole, part) = (whole.wait_with_output().unwrap(), part.wait_with_output().unwrap());
        assert_eq!(part.status.code(), Some(0), "{}", String::from_utf8_lossy(&part.stderr));
        assert!([Some(0), Some(3)].contains(&whole.status.code()), "one.c was another one when it was listed");
        let names = ["old_one", "old_two", "new_one", "new_two", "newest_one"];
        assert_eq!(known_names(&fleet, &names), [false, false, false, true, true]);
        let again = outcome(&fleet.begin().wait_with_output().unwrap());
        assert_eq!(again, fleet.local());
    }
}

#[test]
fn what_names_no_file_matches_nothing_in_a_fleet_too() {
    let fleet = Fleet::new();
    fleet.place.fill(1);
    let analyse = |only: &str| fleet.place.run(&["analyze", fleet.place.tree().to_str().unwrap(), "--only", only, "-o", "json"]);
    let told = analyse("*.rs");
    assert_eq!((told.status.code(), told.stdout.len()), (Some(5), 0), "{told:?}");
    assert!(String::from_utf8_lossy(&told.stderr).starts_with("no file matches what --only names"), "{told:?}");
    assert!(fleet.jobs().is_empty(), "and nothing is begun");
}
