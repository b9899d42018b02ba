//! Full disks in a fleet, on either side: nothing that was acknowledged is lost, nothing is counted twice, and work goes on where
//! there is room.

use std::process::{Output, Stdio};

use super::{
    fleet::{Fleet, grow, outcome, until},
    lan::{Agent, Lan},
    support::{Place, report},
};

/// A disk of its own for a folder on a machine; what it holds ends with the test.
fn mount(lan: &Lan, machine: usize, folder: &std::path::Path, size: &str) {
    let folder = folder.display();
    lan.run(machine, &format!("mkdir -p {folder} && mount -t tmpfs -o mode=700,size={size} tmpfs {folder}"));
}

/// Until nothing more can be written there.
fn fill(lan: &Lan, machine: usize, folder: &std::path::Path) {
    let folder = folder.display();
    let left = lan.run(machine, &format!("cat /dev/zero >{folder}/filler 2>/dev/null; stat -f -c %a {folder}"));
    assert_eq!(left.trim(), "0", "it is full");
}

/// A command on the first machine, which alone sees its own disks.
fn at_master(lan: &Lan, place: &Place, arguments: &[&str]) -> Output {
    lan.at(0, &place.bitacora(arguments)).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
}

#[test]
fn a_node_whose_disk_is_full_leaves_the_work_to_another_one() {
    let Some(lan) = Lan::new(3) else { return };
    let fleet = lan.fleet();
    grow(&fleet.place);
    let own = fleet.folder("ada");
    mount(&lan, 1, &own, "48m");
    let ada = Agent::join(&lan, 1, &fleet, "ada", &["--peer", &fleet.address]);
    fill(&lan, 1, &own);
    let _bob = Agent::join(&lan, 2, &fleet, "bob", &["--peer", &fleet.address]);
    let output = fleet.begin().wait_with_output().unwrap();
    assert_eq!(outcome(&output), fleet.local());
    assert!(fleet.node("ada")["failed"].as_u64() > Some(0), "it was asked, and had no room");
    assert!(fleet.node("bob")["finished"].as_u64() > Some(0));
    lan.run(1, &format!("rm {}/filler", own.display()));
    assert_eq!(outcome(&fleet.begin_with(&["--no-cache", "--nodes", "ada"]).wait_with_output().unwrap()), fleet.local(), "with room again it works");
    drop(ada);
}

#[test]
fn a_master_whose_disk_is_full_says_so_and_loses_nothing_that_it_acknowledged() {
    let Some(lan) = Lan::new(2) else { return };
    let place = Place::new();
    let data = place.data();
    mount(&lan, 0, &data, "24m");
    let master = lan.serve(&place);
    let mut fleet = Fleet::of(place, format!("{}:7411", lan.address(0)), Some(master));
    let ask = |fleet: &Fleet, arguments: &[&str]| at_master(&lan, &fleet.place, arguments);
    let items = |fleet: &Fleet, arguments: &[&str]| report(&ask(fleet, arguments), 0)["items"].as_array().unwrap().clone();
    let is_healthy = |fleet: &Fleet| items(fleet, &["node", "ls", "-o", "json"]).iter().any(|node| node["health"] == "healthy");
    let _ada = {
        let token = ask(&fleet, &["node", "token", "ada"]);
        std::fs::write(fleet.place.path("token"), &token.stdout).unwrap();
        let file = fleet.place.path("token");
        Agent::start(&lan, 1, &fleet, "ada", &["--peer", &fleet.address, "--program", "true", "--join-file", file.to_str().unwrap()])
    };
    until(|| is_healthy(&fleet));
    assert_eq!(ask(&fleet, &["node", "label", "ada", "kept=yes"]).status.code(), Some(0));
    assert_eq!(ask(&fleet, &["spark", "run", "--count", "20", "--", "true"]).status.code(), Some(0));
    let jobs = items(&fleet, &["job", "ls", "-o", "json"]);

    fill(&lan, 0, &data);
    // The first of them may find room in pages that the journal had already; not all of them do.
    let refused = (0..200).map(|_| ask(&fleet, &["spark", "run", "--count", "50", "--", "true"])).find(|output| output.status.code() != Some(0));
    let refused = refused.expect("the journal grows, and there is no room");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(matches!(refused.status.code(), Some(1 | 7)), "{said}");
    // A master that cannot write down what it decides ends: it acknowledges nothing that it might forget.
    let ended = fleet.master.take().unwrap().ended();
    assert_eq!(ended, Some(1));
    let before = items(&fleet, &["job", "ls", "-o", "json"]);
    assert!(jobs.iter().all(|job| before.contains(job)), "what was done stays done");

    lan.run(0, &format!("rm {}/filler", data.display()));
    fleet.master = Some(lan.serve(&fleet.place));
    until(|| is_healthy(&fleet));
    let node = &items(&fleet, &["node", "ls", "-o", "json"])[0];
    assert_eq!(node["labels"]["kept"], "yes");
    until(|| items(&fleet, &["job", "ls", "-o", "json"]).iter().all(|job| job["status"] == "completed"));
    assert_eq!(ask(&fleet, &["spark", "run", "--", "true"]).status.code(), Some(0));
    let verified = ask(&fleet, &["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stderr));
}
