//! A fleet on four machines of one local network: found, paired both ways, and at work while the network loses packets,
//! while the master moves to another address, and beside somebody who means harm.

use std::fs;

use super::{
    fleet::{Fleet, grow, outcome, pair, until},
    lan::{Agent, Lan, heard},
    support::{Place, Timeless},
};

/// This repository's own sources, and as many bytes more that a job is under way for some time.
fn sources(place: &Place) {
    grow(place);
    for folder in ["src", "fleet-agent", "tests", "benches"] {
        let copied = std::process::Command::new("cp").args(["-r", &format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))]).arg(place.tree()).status().unwrap();
        assert!(copied.success());
    }
}

fn analyse(fleet: &Fleet, arguments: &[&str]) -> Timeless {
    outcome(&fleet.begin_with(arguments).wait_with_output().unwrap())
}

/// A node that shows a code, paired by its name.
fn by_code(lan: &Lan, machine: usize, fleet: &Fleet, name: &str) -> Agent {
    let agent = Agent::start(lan, machine, fleet, name, &[]);
    until(|| heard(fleet, name).iter().any(|node| node["state"] == "unpaired"));
    assert_eq!(pair(fleet, &[name], &agent.code()), Some(0));
    fleet.wait_for(name, "healthy");
    agent
}

#[test]
fn three_agents_are_found_and_paired_and_make_the_report_of_one_machine() {
    let Some(lan) = Lan::new(4) else { return };
    let fleet = lan.fleet();
    sources(&fleet.place);
    let ada = by_code(&lan, 1, &fleet, "ada");
    let [bob, cleo] = [(2, "bob"), (3, "cleo")].map(|(machine, name)| Agent::join(&lan, machine, &fleet, name, &["--peer", &fleet.address]));
    for name in ["ada", "bob", "cleo"] {
        until(|| heard(&fleet, name).iter().any(|node| node["state"] == "paired"));
    }
    assert_eq!(heard(&fleet, "bob")[0]["addresses"][0], format!("{}:7413", lan.address(2)));
    let alone = fleet.local();
    assert_eq!(analyse(&fleet, &[]), alone, "over QUIC");
    for (agent, name) in [(ada, "ada"), (bob, "bob"), (cleo, "cleo")] {
        assert!(agent.said().contains("linked with the master over quic"), "{name}: {}", agent.said());
        assert!(fleet.node(name)["finished"].as_u64() > Some(0), "{name} had its share");
        assert_eq!(agent.process.terminate(), Some(0));
    }
    let again = [(1, "ada"), (2, "bob"), (3, "cleo")].map(|(machine, name)| Agent::start(&lan, machine, &fleet, name, &["--carrier", "websocket"]));
    ["ada", "bob", "cleo"].iter().for_each(|name| fleet.wait_for(name, "healthy"));
    assert_eq!(analyse(&fleet, &["--no-cache"]), alone, "over WebSockets");
    again.iter().for_each(|agent| assert!(agent.said().contains("linked with the master over websocket"), "{}", agent.said()));
}

/// Packets that a machine sent and was sent, and those of them that its rules dropped.
fn lost(lan: &Lan, machine: usize) -> (u64, u64) {
    let rules = lan.run(machine, "nft list table inet loss");
    let packets = |line: &str| line.split("packets ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    let count = |drops: bool| rules.lines().filter(|line| line.contains("counter packets") && line.contains("drop") == drops).filter_map(packets).sum::<u64>();
    (count(false), count(true))
}

#[test]
fn lost_packets_cost_nothing_but_time() {
    let Some(lan) = Lan::new(3) else { return };
    let fleet = lan.fleet();
    sources(&fleet.place);
    let quic = Agent::join(&lan, 1, &fleet, "quic", &["--peer", &fleet.address, "--carrier", "quic"]);
    let websocket = Agent::join(&lan, 2, &fleet, "websocket", &["--peer", &fleet.address, "--carrier", "websocket"]);
    let chain = |name: &str, device: &str| {
        format!("chain {name} {{ type filter hook {name} priority 0; {device} eth0 counter; {device} eth0 numgen random mod 100 < 5 counter drop; }};")
    };
    lan.run(0, &format!("nft 'table inet loss {{ {} {} }}'", chain("output", "oifname"), chain("input", "iifname")));
    assert_eq!(analyse(&fleet, &[]), fleet.local());
    let (passed_by, dropped) = lost(&lan, 0);
    assert!(passed_by > 1000 && dropped * 100 > passed_by * 2 && dropped * 100 < passed_by * 9, "{dropped} of {passed_by} packets were lost");
    for (agent, name) in [(quic, "quic"), (websocket, "websocket")] {
        assert!(fleet.node(name)["finished"].as_u64() > Some(0), "{name}: {}", agent.said());
    }
}

#[test]
fn where_udp_is_blocked_a_node_is_paired_by_its_code_all_the_same() {
    let Some(lan) = Lan::new(2) else { return };
    let fleet = lan.fleet();
    let chain = |name: &str| format!("chain {name} {{ type filter hook {name} priority 0; meta l4proto udp counter drop; }};");
    lan.run(1, &format!("nft 'table inet loss {{ {} {} }}'", chain("output"), chain("input")));
    let ada = Agent::start(&lan, 1, &fleet, "ada", &[]);
    assert_eq!(pair(&fleet, &[&format!("{}:7413", lan.address(1))], &ada.code()), Some(0), "{}", ada.said());
    fleet.wait_for("ada", "healthy");
    assert_eq!(fleet.node("ada")["link"]["carrier"], "websocket");
    let (_, dropped) = lost(&lan, 1);
    assert!(dropped > 0, "QUIC was tried first");
}

#[test]
fn a_master_that_moves_in_the_middle_of_a_job_is_found_again() {
    let Some(lan) = Lan::new(3) else { return };
    let (old, new) = (lan.address(0), "10.77.0.100");
    // Both are there while nodes are paired: one of them is told both, the other knows a name.
    lan.run(0, &format!("ip addr add {new}/32 dev eth0"));
    let fleet = lan.fleet();
    sources(&fleet.place);
    let ada = by_code(&lan, 1, &fleet, "ada");
    let hosts = fleet.place.path("hosts");
    fs::write(&hosts, format!("{old} master.example\n")).unwrap();
    lan.run(2, &format!("mount --bind {} /etc/hosts", hosts.display()));
    let bob = Agent::join(&lan, 2, &fleet, "bob", &["--peer", "master.example:7411"]);
    let analysis = fleet.begin();
    until(|| fleet.sparks_done() > 0);
    fs::write(&hosts, format!("{new} master.example\n")).unwrap();
    lan.run(0, &format!("ip addr del {old}/24 dev eth0; ip addr del {new}/32 dev eth0; ip addr add {new}/24 dev eth0"));
    assert_eq!(fleet.jobs()[0]["status"], "running", "it is in the middle");
    assert_eq!(outcome(&analysis.wait_with_output().unwrap()), fleet.local());
    for agent in [ada, bob] {
        assert!(agent.said().matches("linked with the master").count() > 1, "{}", agent.said());
    }
}

#[test]
fn a_node_that_calls_itself_like_another_is_not_paired_in_its_place() {
    let Some(lan) = Lan::new(3) else { return };
    let fleet = lan.fleet();
    let ada = Agent::start(&lan, 1, &fleet, "ada", &[]);
    until(|| heard(&fleet, "ada").len() == 1);
    let key = heard(&fleet, "ada")[0]["key"].as_str().unwrap().to_owned();
    // Of another owner, and with a folder of its own.
    let elsewhere = Fleet::of(Place::new(), String::new(), None);
    let rogue = Agent::start(&lan, 2, &elsewhere, "ada", &[]);
    until(|| heard(&fleet, "ada").len() == 2);
    assert_eq!(pair(&fleet, &["ada"], &ada.code()), Some(5), "which of them?");
    assert_eq!(pair(&fleet, &[&format!("{}:7413", lan.address(2))], &ada.code()), Some(4), "it does not know the code");
    assert!(fleet.nodes().is_empty());
    until(|| rogue.said().contains("a wrong pairing code"));
    assert_eq!(pair(&fleet, &[&key], &ada.code()), Some(0), "and nobody else has learnt it");
    fleet.wait_for("ada", "healthy");
    assert_eq!(fleet.nodes().len(), 1);
}
