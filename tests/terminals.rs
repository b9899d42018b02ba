//! What is between this program and a person: a shell that stops it, a clipboard, terminals that say what they are, and people who want no motion.

use std::ffi::OsString;

use super::{
    dashboard::Terminal,
    fleet::{Fleet, until},
    support::Place,
};

const BITACORA: &str = env!("CARGO_BIN_EXE_bitacora");

#[test]
fn a_shell_stops_it_and_takes_it_back() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    let shell = ["bash", "--norc", "-i"].map(OsString::from);
    let Some(mut terminal) = Terminal::run(&shell, (80, 24), &[("PS1", r"ready \#> ")]) else { return };
    // The number of the command tells each of its prompts from those before.
    terminal.see("ready 1>");
    terminal.press(&format!("{BITACORA} --data-dir {} --no-start\r", fleet.place.data().display()));
    terminal.see("● healthy");
    terminal.press("\x1a");
    terminal.see("Stopped");
    terminal.press("echo sum $((20 + 3))\r");
    terminal.see("sum 23");
    assert!(terminal.shows_the_first_screen());
    terminal.press("fg\r");
    terminal.see("● healthy");
    // It hears its keys again, and nothing of what was typed to the shell.
    terminal.press("c");
    terminal.see("anvil cordoned");
    terminal.press("q");
    terminal.see("ready 4>");
    terminal.press("echo ended with $?\r");
    terminal.see("ended with 0");
    terminal.press("exit\r");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn what_is_copied_is_sent_to_the_terminal() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    let Some(mut terminal) = Terminal::open(&fleet.place, (80, 24), &[]) else { return };
    terminal.see("● healthy");
    assert!(!terminal.was_sent(b"\x1b]52;"));
    terminal.press("y");
    terminal.see("to the terminal's clipboard: anvil");
    // In base64, as xterm's control sequences have it for OSC 52.
    until(|| terminal.was_sent(b"\x1b]52;c;YW52aWw=\x07"));
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn nothing_moves_by_itself_for_who_wants_no_motion() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    let Some(mut terminal) = Terminal::open(&fleet.place, (100, 30), &[("NO_MOTION", "1")]) else { return };
    terminal.see("● healthy");
    terminal.press("5");
    terminal.see("master-began");
    terminal.press("p");
    terminal.see("NO_MOTION is set");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

/// What doctor says on a terminal that answers so, and nothing where there is no answer.
fn examined(size: (u16, u16), environment: &[(&str, &str)], answer: Option<&str>) -> Option<String> {
    let place = Place::new();
    let data = place.data().into_os_string();
    let program = [BITACORA.into(), "--data-dir".into(), data, "doctor".into()];
    // One that is not scheduled for half a second has answered too late, and is asked again.
    for _ in 0..5 {
        let mut terminal = Terminal::run(&program, size, environment)?;
        if let Some(answer) = answer {
            until(|| terminal.was_sent(b"\x1b[?1006$p\x1b[c"));
            terminal.press(answer);
        }
        let (code, text) = terminal.end();
        assert_eq!(code, Some(0), "{text}");
        if answer.is_none() || !text.contains("does not answer") {
            return Some(text);
        }
    }
    panic!("a terminal that answers is never heard");
}

#[test]
fn doctor_says_what_a_terminal_can_do() {
    // Wide enough for a finding a line.
    let Some(able) = examined((240, 70), &[], Some("\x1b[?1006;2$y\x1b[?62;4;52c")) else { return };
    for finding in
        ["xterm-256color", "240x70: a table, what is selected, and the events", "256 or more", "UTF-8", "it is reported, touch too", "it takes what is copied"]
    {
        assert!(able.contains(finding), "{finding}: {able}");
    }
    let poor = [("TERM", "linux"), ("LC_ALL", "C"), ("NO_COLOR", "1")];
    let Some(poor) = examined((240, 70), &poor, Some("\x1b[?1006;0$y\x1b[?6c")) else { return };
    for finding in ["none, as NO_COLOR or --color asks", "ASCII alone", "the terminal knows none", "takes nothing that is copied"] {
        assert!(poor.contains(finding), "{finding}: {poor}");
    }
    let Some(silent) = examined((240, 70), &[("TERM", "xterm")], None) else { return };
    for finding in ["does not answer", "16, as TERM says", "does not say whether it knows one", "does not say whether it takes it"] {
        assert!(silent.contains(finding), "{finding}: {silent}");
    }
}
