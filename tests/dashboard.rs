//! The dashboard as a person has it: the real program on a real terminal, its keys, its ends, and what it leaves behind.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use super::{
    fleet::{Fleet, Process, until},
    support::{Place, skip},
};

/// A terminal with a program on it.
struct Terminal {
    /// The side of the person.
    person: File,
    /// Kept, so that the terminal's settings can be read after the program's end.
    line: OwnedFd,
    program: Process,
    screen: Arc<Mutex<vt100::Parser>>,
    hung_up: Arc<AtomicBool>,
}

impl Terminal {
    /// Starts the dashboard of a place on a new terminal; `None` where there is no program to make it the terminal's own.
    fn open(place: &Place, (columns, rows): (u16, u16), environment: &[(&str, &str)]) -> Option<Terminal> {
        if Command::new("setsid").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip("setsid");
            return None;
        }
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let line = ioctl_tiocgptpeer(&person, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        tcsetwinsize(&person, size(columns, rows)).unwrap();
        let stream = || Stdio::from(line.try_clone().unwrap());
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(env!("CARGO_BIN_EXE_bitacora")).arg("--data-dir").arg(place.data());
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").envs(environment.iter().copied());
        let program = Process(command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap());
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let person = File::from(person);
        let hung_up = Arc::new(AtomicBool::new(false));
        let (mut output, shown, hung) = (person.try_clone().unwrap(), Arc::clone(&screen), Arc::clone(&hung_up));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while !hung.load(Ordering::Relaxed) {
                let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
                let ready = poll(&mut [PollFd::new(&output, PollFlags::IN)], Some(&patience)).unwrap();
                if ready > 0 {
                    let Ok(count @ 1..) = output.read(&mut bytes) else { return };
                    shown.lock().unwrap().process(&bytes[..count]);
                }
            }
        });
        Some(Terminal { person, line, program, screen, hung_up })
    }

    fn press(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).unwrap();
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen says something.
    fn see(&self, wanted: &str) {
        until(|| self.text().contains(wanted));
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(rows, columns);
        tcsetwinsize(&self.person, size(columns, rows)).unwrap();
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.program.0.id().to_string()]).status().unwrap().success());
    }

    /// Is it as it was before the program: lines, echo, the first screen, a cursor?
    fn is_as_before(&self) -> bool {
        let cooked = tcgetattr(self.line.as_fd()).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        let parser = self.screen.lock().unwrap();
        cooked && !parser.screen().alternate_screen() && !parser.screen().hide_cursor() && !parser.screen().bracketed_paste()
    }

    /// Waits for the end; the terminal must be as it was.
    fn end(mut self) -> (Option<i32>, String) {
        let mut ended = None;
        until(|| {
            ended = self.program.0.try_wait().unwrap();
            ended.is_some()
        });
        // The last bytes may still be on their way.
        until(|| self.is_as_before());
        (ended.unwrap().code(), self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.hung_up.store(true, Ordering::Relaxed);
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

#[test]
fn without_a_master_it_says_what_to_do_and_leaves_the_terminal_as_it_was() {
    let place = Place::new();
    let Some(mut terminal) = Terminal::open(&place, (80, 24), &[]) else { return };
    terminal.see("bitacora serve");
    terminal.press("?");
    terminal.see("gives the node no more work");
    terminal.press("\x1b");
    terminal.see("No bitacora serves");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn keys_do_to_a_real_node_what_commands_do() {
    let mut fleet = Fleet::new();
    let Some(mut terminal) = Terminal::open(&fleet.place, (100, 30), &[]) else { return };
    terminal.see("No node yet");
    let _agent = fleet.join("anvil");
    terminal.see("healthy");
    terminal.press("c");
    terminal.see("anvil cordoned");
    assert_eq!(fleet.node("anvil")["availability"], "cordoned");
    terminal.press("u");
    terminal.see("taken back");
    assert_eq!(fleet.node("anvil")["availability"], "active");
    terminal.see("slots, active");
    terminal.press("d");
    terminal.see("drain anvil?");
    terminal.press("\r");
    until(|| !terminal.text().contains("drain anvil?"));
    assert_eq!(fleet.node("anvil")["availability"], "active", "enter is not yes");
    terminal.press("dy");
    terminal.see("anvil draining");
    assert_ne!(fleet.node("anvil")["availability"], "active");
    terminal.press(":node ls\r");
    terminal.see("exit code 0");
    terminal.press("\x1b");
    until(|| !terminal.text().contains("exit code 0"));
    fleet.master.take().unwrap().kill();
    terminal.see("stale");
    assert!(terminal.text().contains("anvil"), "what was seen stays");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn jobs_and_projects_are_those_of_the_master() {
    let fleet = Fleet::new();
    fleet.place.fill(3);
    let _agent = fleet.join("anvil");
    fleet.place.analyse(0);
    let Some(mut terminal) = Terminal::open(&fleet.place, (45, 20), &[]) else { return };
    terminal.see("live");
    terminal.press("2");
    terminal.see("completed");
    terminal.press("\r");
    terminal.see("the job is completed");
    terminal.press("3");
    terminal.see("6 files");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn signals_end_it_and_give_the_terminal_back() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 143)] {
        let place = Place::new();
        let Some(terminal) = Terminal::open(&place, (80, 24), &[]) else { return };
        terminal.see("bitacora serve");
        assert!(!terminal.is_as_before());
        terminal.signal(signal);
        assert_eq!(terminal.end().0, Some(code), "{signal}");
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_panic_gives_the_terminal_back_and_is_read() {
    let place = Place::new();
    let Some(mut terminal) = Terminal::open(&place, (80, 24), &[("RUST_BACKTRACE", "0")]) else { return };
    terminal.see("bitacora serve");
    terminal.press(":panic\r");
    let (code, text) = terminal.end();
    assert_eq!(code, Some(101));
    assert!(text.contains("to see what becomes of the terminal"), "{text}");
}

#[test]
fn it_stops_and_goes_on_as_a_shell_expects() {
    let place = Place::new();
    let Some(mut terminal) = Terminal::open(&place, (80, 24), &[]) else { return };
    terminal.see("bitacora serve");
    terminal.press("\x1a");
    let stat = format!("/proc/{}/stat", terminal.program.0.id());
    until(|| std::fs::read_to_string(&stat).unwrap().contains(") T "));
    until(|| terminal.is_as_before());
    terminal.signal("CONT");
    terminal.see("bitacora serve");
    until(|| !terminal.is_as_before());
    terminal.press("?");
    terminal.see("gives the node no more work");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn a_storm_of_sizes_is_survived() {
    let place = Place::new();
    let Some(mut terminal) = Terminal::open(&place, (80, 24), &[]) else { return };
    terminal.see("bitacora serve");
    for step in 0..200 {
        terminal.resize(2 + step * 37 % 180, 2 + step * 23 % 60);
    }
    terminal.resize(45, 20);
    // Another frame than those of the storm, at the last size.
    terminal.press("?");
    terminal.see("cordon");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn without_colours_the_selection_is_seen() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    let Some(mut terminal) = Terminal::open(&fleet.place, (80, 24), &[("NO_COLOR", "1")]) else { return };
    terminal.see("healthy");
    let parser = terminal.screen.lock().unwrap();
    let cells: Vec<_> =
        (0..24).flat_map(|row| (0..80).map(move |column| (row, column))).filter_map(|(row, column)| parser.screen().cell(row, column)).collect();
    assert!(cells.iter().all(|cell| cell.fgcolor() == vt100::Color::Default && cell.bgcolor() == vt100::Color::Default));
    assert!(cells.iter().any(|cell| cell.inverse() && cell.contents() == "a"), "the selected row");
    drop(parser);
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn without_a_terminal_the_status_is_printed_once() {
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let place = Place::new();
    let alone = place.run(&[]);
    assert_eq!((alone.status.code(), text(&alone).as_str()), (Some(7), ""));
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    let told = fleet.place.run(&[]);
    assert_eq!(told.status.code(), Some(0));
    assert!(text(&told).contains("node\tanvil\thealthy\tactive"), "{}", text(&told));
}
