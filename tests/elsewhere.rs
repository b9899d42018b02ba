//! The dashboard of a fleet that is not this machine's: one that is made up, and one whose master is elsewhere.

use std::{ffi::OsString, fs, os::unix::fs::FileTypeExt, process::Output};

use super::{
    dashboard::Terminal,
    fleet::{Fleet, until},
    operators::Device,
    support::Place,
};

/// Nothing that the program is told of leads out of this place.
fn environment(place: &Place) -> Vec<(&'static str, String)> {
    let home = place.path("home");
    fs::create_dir_all(home.join("tmp")).unwrap();
    let home = home.to_str().unwrap().to_owned();
    let own = |name, folder: &str| (name, format!("{home}/{folder}"));
    vec![("HOME", home.clone()), own("XDG_DATA_HOME", "data"), own("XDG_STATE_HOME", "state"), own("XDG_CONFIG_HOME", "config"), own("TMPDIR", "tmp")]
}

fn demo(place: &Place, size: (u16, u16), arguments: &[&str]) -> Option<Terminal> {
    let environment = environment(place);
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let command: Vec<OsString> = std::iter::once(env!("CARGO_BIN_EXE_bitacora")).chain(arguments.iter().copied()).map(OsString::from).collect();
    Terminal::run(&command, size, &environment)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What is below a folder, but for sockets.
fn files(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten().filter(|entry| !entry.file_type().unwrap().is_socket());
    entries.flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path().display().to_string()] }).collect()
}

#[test]
fn a_demo_is_commanded_like_a_fleet_and_leaves_nothing_behind() {
    let place = Place::new();
    let Some(mut terminal) = demo(&place, (100, 30), &["--demo", "6"]) else { return };
    terminal.see("demo ● live");
    terminal.see("anvil");
    // The second one: the first is the master's own.
    terminal.press("jc");
    terminal.see("birch cordoned");
    terminal.press("u");
    terminal.see("taken back");
    terminal.see("slots, active");
    terminal.press("d");
    terminal.see("drain birch?");
    terminal.press("y");
    terminal.see("birch draining");
    terminal.press(":node ls\r");
    terminal.see("exit code 0");
    terminal.press("h");
    until(|| !terminal.text().contains("exit code 0"));
    terminal.press("2");
    terminal.see("running");
    terminal.press("p");
    terminal.see("paused");
    terminal.press("3");
    terminal.see("kernel");
    terminal.press("a");
    terminal.see("a demo has no trees");
    terminal.press("h");
    terminal.press("4");
    terminal.see("a demo has no network");
    terminal.press("5");
    terminal.see("job-accepted");
    terminal.press("6");
    terminal.see("node-commanded");
    let inside = files(&place.path("home"));
    assert!(inside.is_empty(), "something was written: {inside:?}");
    assert!(terminal.listens_nowhere(), "a demo has no network");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
    assert_eq!(fs::read_dir(place.path("home").join("tmp")).unwrap().count(), 0, "its folder is gone");
    assert_eq!(fs::read_dir(place.path("home")).unwrap().count(), 1, "no data directory was made");
}

#[test]
fn without_a_terminal_a_demo_tells_its_status_once() {
    let place = Place::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bitacora"));
    let output = command.args(["--demo", "3", "--seed", "9"]).envs(environment(&place)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(text.lines().filter(|line| line.starts_with("node\t")).count(), 3, "{text}");
    let refused = place.run(&["--demo", "3", "node", "ls"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
}

#[test]
fn a_device_has_the_dashboard_of_the_fleet_that_it_has_joined() {
    let mut fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    let device = Device::join(&fleet, "laptop", "operate");
    let open = || Terminal::open_with(&device.0, (100, 30), &[], &["--connect", "home"]);
    let Some(mut terminal) = open() else { return };
    terminal.see("home ● live");
    terminal.see("healthy");
    terminal.press("c");
    terminal.see("anvil cordoned");
    terminal.see("slots, cordoned");
    assert_eq!(fleet.node("anvil")["availability"], "cordoned");
    terminal.press("u");
    terminal.see("taken back");
    // What a key does follows from what is seen, and news come behind the answer.
    terminal.see("slots, active");
    // Two people look at the same fleet: what one does the other sees.
    let Some(mut other) = Terminal::open(&fleet.place, (100, 30), &[]) else { return };
    other.see("slots, active");
    terminal.press("c");
    other.see("slots, cordoned");
    // More than its right permits.
    terminal.press("R");
    terminal.press("anvil\r");
    terminal.see("this device may operate");
    // A script is for the fleet that is shown, too.
    let script = device.0.path("script");
    fs::write(&script, "node label anvil by=script\n").unwrap();
    terminal.press(&format!(":script {}\r", script.display()));
    until(|| fleet.node("anvil")["labels"]["by"] == "script");
    fleet.master.take().unwrap().kill();
    terminal.see("stale");
    fleet.serve();
    terminal.see("home ● live");
    other.press("q");
    assert_eq!(other.end().0, Some(0));
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn a_master_out_of_reach_is_shown_as_it_was_last() {
    let mut fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    let device = Device::join(&fleet, "laptop", "operate");
    let open = || Terminal::open_with(&device.0, (100, 30), &[], &["--connect", "home"]);
    let Some(mut terminal) = open() else { return };
    terminal.see("healthy");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
    fleet.master.take().unwrap().kill();
    let mut terminal = open().unwrap();
    terminal.see("stale");
    terminal.see("anvil");
    // Lines are for whoever wants to know at once.
    let status = device.0.run(&["--connect", "home"]);
    assert_eq!((status.status.code(), status.stdout.len()), (Some(7), 0), "{}", said(&status));
    fleet.serve();
    terminal.see("home ● live");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}
