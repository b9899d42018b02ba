//! What a new user does, by keys only, on the terminal of a phone and on a larger one: from an empty fleet to the source of a symbol, and
//! through the loss of a node to its replay. In a network of its own, which has nothing but `lo` and a pair of ends for the node that is cut off.

use std::{
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::{
    dashboard::Terminal,
    fleet::{agent_program, until},
    support::{Place, skip},
};

/// A master, a node beside it and one behind a link of its own; the link goes down and up when files say so.
const SCRIPT: &str = r#"
    set -e
    ip link set lo up
    unshare -n sleep 600 &
    far=$!
    trap 'kill $(jobs -p) 2>/dev/null' EXIT
    until [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
    ip link add near type veth peer name far netns $far
    ip addr add 10.77.0.1/24 dev near
    ip link set near up
    nsenter -t $far -n ip link set lo up
    nsenter -t $far -n ip addr add 10.77.0.2/24 dev far
    nsenter -t $far -n ip link set far up
    "$1" --data-dir "$3/m" serve --listen 0.0.0.0:7555 </dev/null 2>"$3/m.log" &
    "$2" --data-dir "$3/a" --name ada --cores 1 </dev/null >/dev/null 2>"$3/a.log" &
    until [ -S "$3/m/control" ]; do sleep 0.05; done
    "$1" --data-dir "$3/m" node token bob > "$3/token"
    nsenter -t $far -n "$2" --data-dir "$3/b" --name bob --no-discovery --peer 10.77.0.1:7555 --cores 1 --join-file "$3/token" </dev/null >/dev/null 2>"$3/b.log" &
    (
        until [ -e "$3/cut" ]; do sleep 0.05; done
        ip link set near down
        until [ -e "$3/mend" ]; do sleep 0.05; done
        ip link set near up
    ) &
    "$1" --data-dir "$3/m"
"#;

fn code(log: &Path) -> String {
    let shown = || {
        let log = fs::read_to_string(log).unwrap_or_default();
        log.lines().rev().find_map(|line| Some(line.strip_prefix("pairing code ")?.split(',').next()?.to_owned()))
    };
    until(|| shown().is_some());
    shown().unwrap()
}

fn can_make_networks() -> bool {
    let script = "ip link set lo up; unshare -n sleep 5 & ip link add near type veth peer name far netns $! && kill $!";
    let tried = Command::new("unshare").args(["-Urn", "bash", "-c", script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

fn walk(columns: u16, rows: u16) {
    if !can_make_networks() {
        return skip("network namespaces with links between them");
    }
    let place = Place::new();
    place.fill(4);
    let work = place.path("work");
    fs::create_dir_all(work.join("m")).unwrap();
    let mut command: Vec<OsString> = ["timeout", "--foreground", "300", "unshare", "-Urn", "bash", "-c", SCRIPT, "bash"].map(OsString::from).into();
    command.extend([env!("CARGO_BIN_EXE_bitacora").into(), agent_program().into(), work.clone().into()]);
    let Some(mut terminal) = Terminal::run(&command, (columns, rows), &[]) else { return };
    terminal.see("bob");
    pair(&mut terminal, &work);
    analyse(&mut terminal, &place);
    lose_and_find(&mut terminal, &work);
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

fn pair(terminal: &mut Terminal, work: &Path) {
    terminal.press("4");
    terminal.see("unpaired");
    terminal.press("p");
    terminal.see("code that the node shows");
    terminal.press(&format!("{}\r", code(&work.join("a.log"))));
    terminal.see("ada belongs to the fleet");
    terminal.press("1");
    until(|| terminal.text().matches("healthy").count() >= 2);
}

fn analyse(terminal: &mut Terminal, place: &Place) {
    terminal.press("3n");
    terminal.see("folder, then enter");
    terminal.press(&format!("{}\r", place.tree().display()));
    // What the analysis said.
    terminal.see("exit code 0");
    terminal.press("h");
    terminal.see("tree");
    terminal.press("\r");
    terminal.see("languages");
    // Not esc: with a letter right after it, it is taken for another key.
    terminal.press("hA");
    terminal.see("nodes by name");
    terminal.press("ada\r");
    terminal.see("tree assigned");
    terminal.press("s");
    terminal.see("symbol, then enter");
    terminal.press("Class1\r");
    terminal.see("class");
    terminal.press("\r");
    terminal.see("exact match");
    terminal.see("class Class1");
    terminal.press("2");
    terminal.see("completed");
}

/// Its link goes down: it is offline after a while, and back when the link is. Then the same is seen once more, from the timeline.
fn lose_and_find(terminal: &mut Terminal, work: &Path) {
    terminal.press("1");
    terminal.see("bob");
    fs::write(work.join("cut"), "").unwrap();
    terminal.see("offline");
    fs::write(work.join("mend"), "").unwrap();
    until(|| !terminal.text().contains("offline") && terminal.text().matches("healthy").count() >= 2);
    terminal.press("5");
    terminal.press("/");
    terminal.press("bob is offline\r");
    terminal.see("offline");
    // How the fleet was then: one away, one well.
    terminal.press("\r");
    terminal.see("the fleet then");
    terminal.see("bob is offline");
    terminal.see("ada is healthy");
    terminal.press("h");
    // And after it, the last time that bob changed.
    terminal.press("/");
    terminal.press("\x7f\x7f\x7f\x7f\x7f\x7f\x7fhealthy\r");
    terminal.press("G\r");
    terminal.see("the fleet then");
    terminal.see("bob is healthy");
    terminal.press("6");
    terminal.see("node-joined");
}

#[test]
fn a_new_user_walks_through_it_on_a_phone() {
    walk(45, 20);
}

#[test]
fn a_new_user_walks_through_it_on_a_larger_terminal() {
    walk(120, 40);
}
