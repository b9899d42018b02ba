//! What the fleet's authority is worth to whom: to a copy of the data directory, to a person with the passphrase, to the next device.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::{
    fleet::{Fleet, Process, agent_program, outcome, until},
    support::{Place, report},
};

fn passphrase(place: &Place, name: &str, text: &str) -> PathBuf {
    let path = place.path(name);
    fs::write(&path, format!("{text}\n")).unwrap();
    path
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `serve` that is not to get as far as serving.
fn refused(place: &Place, arguments: &[&str]) -> Output {
    place.run(&[&["serve", "--no-discovery", "--listen", "127.0.0.1:0"], arguments].concat())
}

#[test]
fn a_copy_of_the_data_directory_alone_is_nobodys_fleet() {
    let mut fleet = Fleet::new();
    assert_eq!(fleet.master.take().unwrap().terminate(), Some(0));
    let holds_key = |file: PathBuf| fs::read(file).unwrap().windows(11).any(|part| part == b"PRIVATE KEY");
    assert!(!fs::read_dir(fleet.place.data().join("trust")).unwrap().any(|file| holds_key(file.unwrap().path())));
    let elsewhere = fleet.place.path("elsewhere");
    let copy = fleet.place.bitacora(&["serve", "--no-discovery", "--listen", "127.0.0.1:0"]).env("XDG_STATE_HOME", &elsewhere).output().unwrap();
    assert_eq!(copy.status.code(), Some(4));
    assert!(said(&copy).contains("elsewhere/bitacora/keys/authority-"), "it names what is missing: {}", said(&copy));
    fleet.serve();
}

#[test]
fn a_protected_authority_opens_for_its_passphrase_alone() {
    let mut fleet = Fleet::new();
    let one = fleet.join("one");
    let (right, wrong) = (passphrase(&fleet.place, "right", "correct horse"), passphrase(&fleet.place, "wrong", "battery staple"));
    let with = |file: &Path| file.to_str().unwrap().to_owned();
    assert_eq!(fleet.place.run(&["authority", "protect", "--passphrase-file", &with(&passphrase(&fleet.place, "short", "short"))]).status.code(), Some(2));
    assert_eq!(fleet.place.run(&["authority", "protect"]).status.code(), Some(4), "there is no terminal to ask at");
    assert_eq!(fleet.place.run(&["authority", "protect", "--dry-run"]).status.code(), Some(10), "for which no passphrase is asked");
    assert_eq!(fleet.place.run(&["authority", "unprotect", "--dry-run"]).status.code(), Some(9));
    assert_eq!(fleet.place.run(&["authority", "protect", "--passphrase-file", &with(&right)]).status.code(), Some(0));
    assert_eq!(fleet.place.run(&["authority", "protect", "--passphrase-file", &with(&wrong)]).status.code(), Some(9));
    assert_eq!(fleet.master.take().unwrap().terminate(), Some(0));
    let before = fs::read(fleet.place.data().join("trust/authority.sealed")).unwrap();
    assert_eq!(refused(&fleet.place, &[]).status.code(), Some(4));
    let output = refused(&fleet.place, &["--passphrase-file", &with(&wrong)]);
    assert!(output.status.code() == Some(4) && said(&output).contains("the passphrase does not open it"), "{}", said(&output));
    assert_eq!(fs::read(fleet.place.data().join("trust/authority.sealed")).unwrap(), before);
    fleet.serve_with(&["--passphrase-file", &with(&right)]);
    fleet.wait_for("one", "healthy");
    assert_eq!(fleet.place.run(&["authority", "unprotect", "--passphrase-file", &with(&right)]).status.code(), Some(0));
    assert_eq!(fleet.master.take().unwrap().terminate(), Some(0));
    assert_eq!(refused(&fleet.place, &["--passphrase-file", &with(&right)]).status.code(), Some(9), "whoever gives one believes that it protects");
    fleet.serve();
    fleet.wait_for("one", "healthy");
    drop(one);
}

/// The phone was lost: another device takes the fleet over from an archive, at another address.
#[test]
fn a_fleet_goes_on_from_another_device() {
    let (mut lost, mut next) = (Fleet::new(), Fleet::new());
    next.place.fill(20);
    let expected = next.local();
    let told = lost.folder("one").join("master");
    assert_eq!(lost.join("one").terminate(), Some(0));
    // Where the next master will be it knows as one more address of its master's.
    fs::write(&told, format!("{}\n{}", lost.address, next.address)).unwrap();
    let mut agent = Command::new(agent_program());
    agent.arg("--data-dir").arg(lost.folder("one")).args(["--no-discovery", "--cores", "1"]);
    let one = Process(agent.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    lost.wait_for("one", "healthy");

    let (right, wrong) = (passphrase(&lost.place, "right", "correct horse"), passphrase(&lost.place, "wrong", "battery staple"));
    let (archive, right, wrong) = (lost.place.path("fleet.tar"), right.to_str().unwrap().to_owned(), wrong.to_str().unwrap().to_owned());
    let archive = archive.to_str().unwrap();
    assert_eq!(lost.place.run(&["export", "--passphrase-file", &right, "--out", archive]).status.code(), Some(2), "to what end?");
    assert_eq!(lost.place.run(&["export", "--with-authority", "--out", archive]).status.code(), Some(4), "there is no terminal to ask at");
    let exported = lost.place.run(&["export", "--with-authority", "--passphrase-file", &right, "--out", archive]);
    assert_eq!(exported.status.code(), Some(0), "{}", said(&exported));
    let audited = lost.place.run(&["audit", "ls", "-o", "plain"]);
    assert_eq!(String::from_utf8_lossy(&audited.stdout).matches("authority-exported").count(), 1, "and what came to nothing is no export");
    assert!(!fs::read(archive).unwrap().windows(11).any(|part| part == b"PRIVATE KEY"));
    // Later epochs and records than the archive knows of, all of which the agent has seen.
    for _ in 0..3 {
        lost.master.take().unwrap().kill();
        lost.serve();
        lost.wait_for("one", "healthy");
    }
    assert_eq!(lost.place.run(&["node", "cordon", "one"]).status.code(), Some(0));
    lost.master.take().unwrap().kill();
    fs::remove_dir_all(lost.place.data()).unwrap();

    next.master.take().unwrap().kill();
    assert_eq!(next.place.run(&["import", archive, "--passphrase-file", &right]).status.code(), Some(9), "another fleet is at home there");
    fs::remove_dir_all(next.place.data()).unwrap();
    let output = next.place.run(&["import", archive, "--passphrase-file", &wrong]);
    assert!(output.status.code() == Some(4) && said(&output).contains("the passphrase does not open it"), "{}", said(&output));
    assert_eq!(next.place.run(&["import", archive]).status.code(), Some(4), "there is no terminal to ask at");
    let planned = next.place.run(&["import", "--dry-run", archive, "--passphrase-file", &right]);
    assert!(planned.status.code() == Some(10) && said(&planned).contains("and the fleet's authority"), "{}", said(&planned));
    assert!(!next.place.data().join("trust").exists(), "nothing came of it");
    let mut importing = next.place.bitacora(&["import", archive, "--passphrase-file", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    importing.stdin.take().unwrap().write_all(b"correct horse\n").unwrap();
    assert_eq!(importing.wait().unwrap().code(), Some(0));
    next.serve();
    next.wait_for("one", "healthy");
    assert_eq!(outcome(&next.begin().wait_with_output().unwrap()), expected);
    let records = report(&next.place.run(&["audit", "ls", "-o", "json"]), 0);
    let schema = report(&next.place.run(&["schema", "audit"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&records), "{records}");
    let actions: Vec<&Value> = records["items"].as_array().unwrap().iter().map(|record| &record["action"]).collect();
    assert!(actions[0] == "authority-made" && actions.contains(&&Value::from("fleet-restored")), "{actions:?}");
    until(|| {
        let verified = next.place.run(&["audit", "verify"]);
        assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
        said(&verified).contains("restored from an archive that ended before it")
    });
    assert_eq!(one.terminate(), Some(0));
}
