//! A local network of the test's own: machines that are network namespaces, on one bridge. Made without anybody's rights
//! and without a trace: every namespace ends with the process that holds it, and that one with the test.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::Value;

use super::{
    fleet::{Fleet, Process, agent_program, until},
    support::{Place, skip},
};

/// Says that it is there, and waits for its stdin to close: however the test ends, that happens.
const HOLD: &str = "echo ready && exec cat";

/// The bridge, and machines that are numbered from 0.
pub(super) struct Lan {
    bridge: Holder,
    machines: Vec<Holder>,
}

/// A process that does nothing but hold its namespaces.
struct Holder(Child);

impl Holder {
    fn start(command: &mut Command) -> Option<Holder> {
        let mut holder = Holder(command.args(["sh", "-c", HOLD]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?);
        let mut said = String::new();
        BufReader::new(holder.0.stdout.as_mut()?).read_line(&mut said).ok()?;
        (said == "ready\n").then_some(holder)
    }

    /// A command in these namespaces.
    fn enter(&self, namespaces: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.0.id().to_string(), "-U", "--preserve-credentials"]).args(namespaces).arg("--");
        command
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may be gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Lan {
    /// `None` where the system allows no namespaces, which is said.
    pub(super) fn new(machines: usize) -> Option<Lan> {
        let lan = Lan::build(machines);
        if lan.is_none() {
            skip("network namespaces with bridges");
        }
        lan
    }

    fn build(machines: usize) -> Option<Lan> {
        let bridge = Holder::start(Command::new("unshare").arg("-Urn"))?;
        let mut lan = Lan { bridge, machines: Vec::new() };
        shell(lan.bridge.enter(&["-n"]), "ip link set lo up && ip link add bridge type bridge mcast_snooping 0 && ip link set bridge up")?;
        for number in 0..machines {
            // With its own mounts and name too, so that each can have its own /etc/hosts.
            let machine = Holder::start(lan.bridge.enter(&["-n"]).args(["unshare", "-mnu"]))?;
            let pid = machine.0.id();
            let plug = format!("ip link add m{number} type veth peer name eth0 netns {pid} && ip link set m{number} master bridge up");
            shell(lan.bridge.enter(&["-n"]), &plug)?;
            // Of addresses it has the one that it is given: those of the link take seconds to be ready.
            let address = lan.address(number);
            let start = format!("ip link set lo up && ip link set eth0 addrgenmode none && ip addr add {address}/24 dev eth0 && ip link set eth0 up");
            shell(machine.enter(&["-n"]), &start)?;
            lan.machines.push(machine);
        }
        Some(lan)
    }

    pub(super) fn address(&self, machine: usize) -> String {
        format!("10.77.0.{}", machine + 1)
    }

    /// The same program with the same arguments, on a machine.
    pub(super) fn at(&self, machine: usize, command: &Command) -> Command {
        let mut there = self.machines[machine].enter(&["-n", "-m", "-u"]);
        there.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        there
    }

    /// Runs a script on a machine, and answers with what it printed.
    pub(super) fn run(&self, machine: usize, script: &str) -> String {
        shell(self.machines[machine].enter(&["-n", "-m", "-u"]), script).unwrap_or_else(|| panic!("on machine {machine}: {script}"))
    }

    /// A master on the first machine, where a master listens that was told nothing.
    pub(super) fn fleet(&self) -> Fleet {
        let place = Place::new();
        let master = self.serve(&place);
        Fleet::of(place, format!("{}:7411", self.address(0)), Some(master))
    }

    /// A master's process on the first machine, once it listens.
    pub(super) fn serve(&self, place: &Place) -> Process {
        let mut child = self.at(0, &place.bitacora(&["serve"])).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let master = Process(child);
        assert!(lines.any(|line| line.starts_with("listening on ")));
        // Drained, or the master would wait for room.
        thread::spawn(move || lines.for_each(drop));
        master
    }
}

fn shell(mut command: Command, script: &str) -> Option<String> {
    let output = command.args(["sh", "-c", script]).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An agent on a machine, and what it says.
pub(super) struct Agent {
    pub(super) process: Process,
    log: PathBuf,
}

impl Agent {
    pub(super) fn start(lan: &Lan, machine: usize, fleet: &Fleet, name: &str, arguments: &[&str]) -> Agent {
        let log = fleet.place.path(&format!("{name}.log"));
        let mut command = Command::new(agent_program());
        command.arg("--data-dir").arg(fleet.folder(name)).args(["--name", name, "--cores", "1"]).args(arguments);
        let child = lan.at(machine, &command).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        Agent { process: Process(child), log }
    }

    /// One that joins with a token, and is linked.
    pub(super) fn join(lan: &Lan, machine: usize, fleet: &Fleet, name: &str, arguments: &[&str]) -> Agent {
        let token = fleet.place.path(&format!("{name}.token"));
        fs::write(&token, fleet.token(name)).unwrap();
        let agent = Agent::start(lan, machine, fleet, name, &[arguments, &["--join-file", token.to_str().unwrap()]].concat());
        fleet.wait_for(name, "healthy");
        agent
    }

    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The code that it shows now.
    pub(super) fn code(&self) -> String {
        until(|| self.said().contains("pairing code "));
        let said = self.said();
        said.rsplit("pairing code ").next().unwrap().split(',').next().unwrap().to_owned()
    }
}

/// The nodes of this name that the master hears of.
pub(super) fn heard(fleet: &Fleet, name: &str) -> Vec<Value> {
    let output = fleet.place.run(&["node", "discover", "-o", "json"]);
    let Ok(document) = serde_json::from_slice::<Value>(&output.stdout) else { return Vec::new() };
    document["items"].as_array().unwrap().iter().filter(|node| node["name"] == name).cloned().collect()
}
