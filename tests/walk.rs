//! What a new user does, by keys only and in tmux, on the terminal of a phone and on a larger one: from no master at all to the source of a
//! symbol, and through the loss of a node to its replay. In a network of its own, which has nothing but `lo` and a pair of ends for the node that is cut off.

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

/// Two nodes, one of them behind a link of its own, which goes down and up when files say so. The dashboard, which begins with nothing, starts
/// the master; the second node joins it by a token, as scripts do.
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
    "$2" --data-dir "$3/a" --name ada --cores 1 </dev/null >/dev/null 2>"$3/a.log" &
    (
        until [ -S "$3/m/control" ]; do sleep 0.05; done
        "$1" --data-dir "$3/m" node token bob > "$3/token" 2>>"$3/log"
        exec nsenter -t $far -n "$2" --data-dir "$3/b" --name bob --no-discovery --peer 10.77.0.1:7411 --cores 1 --join-file "$3/token" </dev/null >/dev/null 2>"$3/b.log"
    ) &
    (
        until [ -e "$3/cut" ]; do sleep 0.05; done
        ip link set near down
        until [ -e "$3/mend" ]; do sleep 0.05; done
        ip link set near up
    ) &
    printf '%s\n' 'set -g status off' 'set -g default-terminal tmux-256color' 'set -g escape-time 0' > "$3/tmux.conf"
    tmux -S "$3/tmux" -f "$3/tmux.conf" new-session "$1 --data-dir $3/m; echo \$? > $3/code"
    # The master that the dashboard has started works on without it, until it is told to end.
    "$1" --data-dir "$3/m" node ls -o name > "$3/left"
    kill "$(cat "$3/m/lock")"
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
    if Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_err() {
        return skip("tmux");
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
    assign(&mut terminal);
    lose_and_find(&mut terminal, &work);
    replay(&mut terminal);
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
    let left = |name: &str| fs::read_to_string(work.join(name)).unwrap();
    assert_eq!((left("code").trim(), left("left").lines().count()), ("0", 3), "what the dashboard started works on, with its own machine");
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
    terminal.press("h");
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

/// To one of the two, which then does what the other had a share in before.
fn assign(terminal: &mut Terminal) {
    terminal.press("3");
    terminal.see("tree");
    terminal.press("A");
    terminal.see("nodes by name");
    terminal.press("ada\r");
    terminal.see("tree assigned");
    let finished = |terminal: &mut Terminal, node: &str| {
        terminal.press(&format!("1/name:{node}\r\r"));
        terminal.see(&format!("{node} ● healthy  n"));
        terminal.see(" finished, ");
        let text = terminal.text();
        let (before, _) = text.split_once(" finished, ").unwrap();
        let finished: u64 = before.rsplit(' ').next().unwrap().parse().unwrap();
        terminal.press("h/");
        terminal.press(&"\x7f".repeat(node.len() + 5));
        terminal.press("\r");
        finished
    };
    let before = ["ada", "bob"].map(|node| finished(terminal, node));
    terminal.press("3");
    terminal.see("tree");
    // All of it anew.
    terminal.press(":analyze tree --no-cache\r");
    terminal.see("exit code 0");
    terminal.press("h");
    let after = ["ada", "bob"].map(|node| finished(terminal, node));
    assert!(after[0] > before[0] && after[1] == before[1], "{before:?} {after:?}");
}

/// Its link goes down: it is offline after a while, and back when the link is. Then the same is seen once more, from the timeline.
fn lose_and_find(terminal: &mut Terminal, work: &Path) {
    terminal.press("1");
    terminal.see("bob");
    fs::write(work.join("cut"), "").unwrap();
    // As its state: beside the list a node's log says it as well, and goes on to.
    terminal.see("✕ offline");
    fs::write(work.join("mend"), "").unwrap();
    until(|| !terminal.text().contains("✕ offline") && terminal.text().matches("healthy").count() >= 2);
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
    terminal.press("h");
}

/// From the first thing that is remembered to the last, by itself.
fn replay(terminal: &mut Terminal) {
    terminal.press("5/");
    terminal.press(&"\x7f".repeat(20));
    terminal.press("\rg");
    terminal.see("master-began");
    terminal.press("\r");
    terminal.see("event 1");
    terminal.see("the fleet then");
    terminal.press("p");
    terminal.see("bob is offline");
    until(|| terminal.text().contains("bob is healthy"));
    terminal.press("ph");
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
