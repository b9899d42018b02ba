//! Who is trusted, and for how long, between real processes.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    time::{Duration, SystemTime},
};

use fleet_agent::net::tls::{Identity, NodeKey, Validity};
use rusqlite::Connection;
use serde_json::Value;

use super::{
    fleet::{Fleet, Process, until},
    support::report,
};

/// Where the fleet's nodes join.
fn join_address(fleet: &Fleet) -> SocketAddr {
    let mut address: SocketAddr = fleet.address.parse().unwrap();
    address.set_port(address.port() + 1);
    address
}

/// Does nobody listen there?
fn is_free(address: SocketAddr) -> bool {
    UdpSocket::bind(address).is_ok()
}

#[test]
fn the_port_for_joining_is_open_while_a_token_is() {
    let fleet = Fleet::new();
    let address = join_address(&fleet);
    assert!(is_free(address), "nobody can join yet");
    let _one = fleet.join("one");
    until(|| is_free(address));
    let token = fleet.token("two");
    assert!(!is_free(address), "a token is open");
    let brief = fleet.place.run(&["node", "token", "three", "--ttl", "1s"]);
    assert_eq!(brief.status.code(), Some(0));
    let file = fleet.place.path("token");
    fs::write(&file, &token).unwrap();
    let _two = Process(fleet.agent("two").arg("--join-file").arg(&file).spawn().unwrap());
    fleet.wait_for("two", "healthy");
    until(|| is_free(address));
    assert_eq!(fleet.nodes().len(), 2);
    // Open again for somebody else, but not for the one whose time is over.
    let _open = fleet.token("four");
    fs::write(&file, &brief.stdout).unwrap();
    let late = fleet.agent("three").arg("--join-file").arg(&file).status().unwrap();
    assert_eq!(late.code(), Some(4), "its token has expired");
    for (ttl, code) in [("8d", 9), ("0s", 9), ("soon", 2)] {
        assert_eq!(fleet.place.run(&["node", "token", "five", "--ttl", ttl]).status.code(), Some(code), "{ttl}");
    }
}

fn audit(fleet: &Fleet) -> Vec<Value> {
    let records = report(&fleet.place.run(&["audit", "ls", "-o", "json"]), 0);
    let schema = report(&fleet.place.run(&["schema", "audit"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&records), "{records}");
    records["items"].as_array().unwrap().clone()
}

/// Action, who had it done, and the outcome.
fn done(record: &Value) -> [&str; 3] {
    ["action", "by", "outcome"].map(|key| record[key].as_str().unwrap())
}

#[test]
fn what_people_and_strangers_do_is_in_the_audit() {
    let fleet = Fleet::new();
    let one = fleet.join("one");
    assert_eq!(fleet.place.run(&["node", "cordon", "one"]).status.code(), Some(0));
    assert_eq!(fleet.place.run(&["node", "rm", "one", "--yes"]).status.code(), Some(0));
    drop(one);
    assert_eq!(fleet.restart("one").0.wait().unwrap().code(), Some(4));
    assert_eq!(fleet.place.run(&["node", "token", "two", "--ttl", "1s"]).status.code(), Some(0));
    until(|| audit(&fleet).len() >= 8);
    // Whoever runs the test is the one who asks.
    let me = format!("user {}", String::from_utf8(std::process::Command::new("id").arg("-u").output().unwrap().stdout).unwrap().trim());
    let records = audit(&fleet);
    let mut told: Vec<[&str; 3]> = records.iter().map(done).collect();
    let knocked = told.iter().position(|record| record[0] == "connections-refused").expect("the removed node was counted");
    assert_eq!(told.remove(knocked), ["connections-refused", "stranger", "done"]);
    let expected = [
        ["authority-made", &me, "done"],
        ["token-made", &me, "done"],
        ["node-joined", "stranger", "done"],
        ["node-commanded", &me, "done"],
        ["node-commanded", &me, "done"],
        ["token-made", &me, "done"],
        ["token-expired", "fleet", "done"],
    ];
    assert_eq!(told, expected);
    assert!(records[3]["subject"].as_str().unwrap().ends_with(" cordon"), "{}", records[3]);
    assert_eq!(fleet.place.run(&["audit", "verify"]).status.code(), Some(0));
}

#[test]
fn a_changed_record_is_named() {
    let fleet = Fleet::new();
    fleet.token("one");
    fleet.token("two");
    let store = Connection::open(fleet.place.data().join("journal.sqlite")).unwrap();
    store.execute_batch("DROP TRIGGER audit_is_not_changed; UPDATE audit SET body = substr(body, 1, length(body) - 1) || x'00' WHERE number = 2").unwrap();
    let verified = fleet.place.run(&["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(1));
    let said = String::from_utf8(verified.stderr).unwrap();
    assert!(said.starts_with("record 2 was changed"), "{said}");
}

#[test]
fn an_audit_whose_end_was_cut_off_is_found_out_by_an_agent() {
    let mut fleet = Fleet::new();
    let one = fleet.join("one");
    // What the node is to be told of.
    assert_eq!(fleet.place.run(&["node", "cordon", "one"]).status.code(), Some(0));
    let length = audit(&fleet).len();
    until(|| fs::read_to_string(fleet.folder("one").join("audit-head")).is_ok_and(|head| head.starts_with(&format!("{length} "))));
    assert_eq!(one.terminate(), Some(0), "it keeps what it was told, over a restart");
    assert_eq!(fleet.master.take().unwrap().terminate(), Some(0));
    let store = Connection::open(fleet.place.data().join("journal.sqlite")).unwrap();
    store.execute_batch("DROP TRIGGER audit_is_not_cut; DELETE FROM audit WHERE number > 2").unwrap();
    drop(store);
    let verified = fleet.place.run(&["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "by itself it looks whole");
    fleet.serve();
    let _one = fleet.restart("one");
    until(|| fleet.place.run(&["audit", "verify"]).status.code() == Some(1));
    let said = String::from_utf8(fleet.place.run(&["audit", "verify"]).stderr).unwrap();
    assert!(said.contains("node one (n") && said.contains(&format!("a record {length} that is not here")), "{said}");
    let records = audit(&fleet);
    assert!(records.iter().any(|record| record["action"] == "head-unknown" && record["by"].as_str().unwrap().starts_with("node n")));
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn identity(fleet: &Fleet, name: &str) -> Identity {
    Identity::load(&fleet.folder(name)).unwrap()
}

/// Puts in the place of a node's certificate one that was signed so many days ago, for thirty days.
fn age(fleet: &Fleet, name: &str, days: u32) {
    let authority = fleet.safe().open(None).unwrap().unwrap();
    let (key, peer) = (NodeKey::generate().unwrap(), identity(fleet, name).peer());
    let validity = Validity { not_before: SystemTime::now() - DAY * days, span: 30 * DAY };
    let certificate = authority.sign(&key.request().unwrap(), peer.node, peer.roles, validity).unwrap();
    Identity::new(key, certificate, authority.certificate().clone()).unwrap().save(&fleet.folder(name)).unwrap();
}

#[test]
fn certificates_renew_themselves_also_of_nodes_that_were_off() {
    let fleet = Fleet::new();
    drop(fleet.join("one"));
    let node = identity(&fleet, "one").peer().node;
    for (days, why) in [(21, "in its last third"), (31, "expired yesterday"), (59, "expired nearly a month ago")] {
        age(&fleet, "one", days);
        let before = identity(&fleet, "one").peer();
        let one = fleet.restart("one");
        until(|| identity(&fleet, "one").peer().expires > before.expires);
        let after = identity(&fleet, "one").peer();
        assert!(after.node == node && after.expires > SystemTime::now() + 29 * DAY, "{why}");
        fleet.wait_for("one", "healthy");
        assert_eq!(one.terminate(), Some(0));
    }
    age(&fleet, "one", 5);
    let before = identity(&fleet, "one").peer();
    let one = fleet.restart("one");
    fleet.wait_for("one", "healthy");
    assert_eq!(one.terminate(), Some(0));
    assert_eq!(identity(&fleet, "one").peer(), before, "one that is new is left alone");
    let renewed = audit(&fleet).iter().filter(|record| record["action"] == "certificate-renewed").count();
    assert_eq!(renewed, 1, "of three in a short time one is written down");
}

#[test]
fn a_node_that_was_off_for_too_long_is_told_what_to_do_and_can_do_it() {
    let fleet = Fleet::new();
    drop(fleet.join("one"));
    age(&fleet, "one", 61);
    let refused = fleet.agent("one").stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(4));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("node rm") && said.contains("--join-file"), "{said}");
    assert_eq!(fleet.place.run(&["node", "rm", "one", "--yes"]).status.code(), Some(0));
    let _one = fleet.join("one");
}

#[test]
fn a_removed_node_renews_nothing() {
    let fleet = Fleet::new();
    drop(fleet.join("one"));
    assert_eq!(fleet.place.run(&["node", "rm", "one", "--yes"]).status.code(), Some(0));
    for days in [21, 31] {
        age(&fleet, "one", days);
        let before = identity(&fleet, "one").peer();
        assert_eq!(fleet.restart("one").0.wait().unwrap().code(), Some(4));
        assert_eq!(identity(&fleet, "one").peer(), before);
    }
}
