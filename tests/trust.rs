//! Who is trusted, and for how long, between real processes.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
};

use super::fleet::{Fleet, Process, until};

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
