//! Masters that have to call: nobody is let in to them, as on a phone's network, or nobody knows where they are.

use super::{
    fleet::{Fleet, grow, outcome, pair, until},
    lan::{Agent, Lan, heard},
};

/// From now on what nobody on this machine has begun does not get in, but for what is let through.
fn seclude(lan: &Lan, machine: usize, but: &str) {
    let chain = format!("chain input {{ type filter hook input priority 0; ct state established accept; iifname lo accept; {but} counter drop; }};");
    lan.run(machine, &format!("nft 'table inet wall {{ {chain} }}'"));
}

fn packets_kept_out(lan: &Lan, machine: usize) -> u64 {
    let rules = lan.run(machine, "nft list table inet wall");
    rules.split("packets ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn by_code(lan: &Lan, machine: usize, fleet: &Fleet, name: &str) -> Agent {
    let agent = Agent::start(lan, machine, fleet, name, &[]);
    assert_eq!(pair(fleet, &[&format!("{}:7413", lan.address(machine))], &agent.code()), Some(0), "{}", agent.said());
    fleet.wait_for(name, "healthy");
    agent
}

#[test]
fn a_master_that_nobody_can_dial_calls_its_nodes() {
    let Some(lan) = Lan::new(3) else { return };
    let mut fleet = lan.fleet();
    grow(&fleet.place);
    seclude(&lan, 0, "");
    lan.run(2, "nft 'table inet no_udp { chain input { type filter hook input priority 0; meta l4proto udp drop; }; }'");
    let ada = by_code(&lan, 1, &fleet, "ada");
    let bob = by_code(&lan, 2, &fleet, "bob");
    assert_eq!(["ada", "bob"].map(|name| fleet.node(name)["link"]["carrier"].clone()), ["quic", "websocket"]);
    let alone = fleet.local();
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), alone);

    ada.process.kill();
    let _ada = Agent::start(&lan, 1, &fleet, "ada", &[]);
    until(|| fleet.node("ada")["health"] == "healthy" && fleet.node("ada")["running"].as_f64() < Some(5.0));
    fleet.master.take().unwrap().kill();
    fleet.master = Some(lan.serve(&fleet.place));
    ["ada", "bob"].iter().for_each(|name| fleet.wait_for(name, "healthy"));
    assert_eq!(outcome(&fleet.begin_with(&["--no-cache"]).wait_with_output().unwrap()), alone);
    assert!(bob.said().matches("linked with the master over websocket").count() > 1, "{}", bob.said());
    assert!(packets_kept_out(&lan, 0) > 0, "they have tried to dial");
}

#[test]
fn a_master_that_moves_where_nobody_looks_for_it_calls_from_there() {
    let Some(lan) = Lan::new(2) else { return };
    let fleet = lan.fleet();
    grow(&fleet.place);
    let ada = by_code(&lan, 1, &fleet, "ada");
    let analysis = fleet.begin();
    until(|| fleet.sparks_done() > 0);
    lan.run(0, &format!("ip addr del {}/24 dev eth0; ip addr add 10.77.0.100/24 dev eth0", lan.address(0)));
    assert_eq!(outcome(&analysis.wait_with_output().unwrap()), fleet.local());
    assert!(ada.said().matches("linked with the master").count() > 1, "{}", ada.said());
    let shown = fleet.node("ada");
    assert_eq!(shown["link"]["address"], "10.77.0.2:7413", "this master has dialled");
}

#[test]
fn a_node_that_moves_is_called_where_it_is_announced() {
    let Some(lan) = Lan::new(2) else { return };
    let fleet = lan.fleet();
    let ada = by_code(&lan, 1, &fleet, "ada");
    seclude(&lan, 0, "udp dport 5353 accept;");
    ada.process.kill();
    lan.run(1, &format!("ip addr del {}/24 dev eth0; ip addr add 10.77.0.101/24 dev eth0", lan.address(1)));
    let ada = Agent::start(&lan, 1, &fleet, "ada", &[]);
    until(|| heard(&fleet, "ada").iter().any(|node| node["addresses"][0] == "10.77.0.101:7413"));
    until(|| fleet.node("ada")["link"]["address"] == "10.77.0.101:7413");
    fleet.wait_for("ada", "healthy");
    assert!(ada.said().contains("can be called on port 7413"), "{}", ada.said());
}

#[test]
fn a_person_says_where_a_node_has_moved() {
    let Some(lan) = Lan::new(2) else { return };
    let fleet = lan.fleet();
    let ada = by_code(&lan, 1, &fleet, "ada");
    seclude(&lan, 0, "");
    ada.process.kill();
    lan.run(1, &format!("ip addr del {}/24 dev eth0; ip addr add 10.77.0.101/24 dev eth0", lan.address(1)));
    let _ada = Agent::start(&lan, 1, &fleet, "ada", &["--no-discovery"]);
    fleet.wait_for("ada", "offline");
    let planned = fleet.place.run(&["node", "call", "ada", "10.77.0.101:7413", "--dry-run"]);
    assert_eq!(planned.status.code(), Some(10));
    let called = fleet.place.run(&["node", "call", "ada", "10.77.0.101:7413"]);
    assert_eq!(called.status.code(), Some(0), "{}", String::from_utf8_lossy(&called.stderr));
    assert_eq!(fleet.node("ada")["called_at"][0], "10.77.0.101:7413");
    fleet.wait_for("ada", "healthy");
}

#[test]
fn a_node_that_nobody_may_call_finds_its_master_where_that_is_announced() {
    let Some(lan) = Lan::new(2) else { return };
    let fleet = lan.fleet();
    let ada = Agent::join(&lan, 1, &fleet, "ada", &["--peer", &fleet.address, "--no-listen"]);
    lan.run(0, &format!("ip addr del {}/24 dev eth0; ip addr add 10.77.0.100/24 dev eth0", lan.address(0)));
    until(|| fleet.node("ada")["health"] != "healthy");
    until(|| fleet.node("ada")["health"] == "healthy");
    assert!(ada.said().matches("linked with the master").count() > 1, "{}", ada.said());
    assert!(fleet.node("ada")["link"]["address"].as_str().unwrap().starts_with("10.77.0.2:"), "the node has dialled");
    // Whoever is nobody's node is not listed among those that can be paired.
    assert!(fleet.place.run(&["node", "discover", "-o", "json"]).status.success());
    assert_eq!(heard(&fleet, "ada").len(), 1);
    let seen = fleet.place.run(&["node", "discover", "-o", "name"]);
    assert_eq!(String::from_utf8_lossy(&seen.stdout).lines().count(), 1, "the master is no node to pair");
}
