//! The dashboard as a person has it: the real program on a real terminal, its keys, its ends, and what it leaves behind.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bitacora::{
    control::{
        self, Answer, Request,
        watch::{Change, News, Watch},
    },
    data::DataDirectory,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use super::{
    fleet::{Fleet, Process, until, until_or},
    support::{Place, skip},
};

/// A terminal with a program on it.
pub(super) struct Terminal {
    /// The side of the person; gone when the terminal is.
    person: Option<File>,
    /// Kept, so that the terminal's settings can be read after the program's end.
    line: OwnedFd,
    program: Process,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Everything that it was sent, as it was sent.
    sent: Arc<Mutex<Vec<u8>>>,
    hung_up: Arc<AtomicBool>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Terminal {
    /// Starts the dashboard of a place on a new terminal; `None` where there is no program to make it the terminal's own.
    pub(super) fn open(place: &Place, size: (u16, u16), environment: &[(&str, &str)]) -> Option<Terminal> {
        Terminal::open_with(place, size, environment, &[])
    }

    pub(super) fn open_with(place: &Place, size: (u16, u16), environment: &[(&str, &str)], arguments: &[&str]) -> Option<Terminal> {
        let mut command = vec![OsString::from(env!("CARGO_BIN_EXE_bitacora")), "--data-dir".into(), place.data().into()];
        command.push("--no-start".into());
        command.extend(arguments.iter().map(OsString::from));
        let state = place.state();
        let environment: Vec<(&str, &str)> = environment.iter().copied().chain([("XDG_STATE_HOME", state.to_str().unwrap())]).collect();
        Terminal::run(&command, size, &environment)
    }

    /// Where nobody serves the place a master is started.
    pub(super) fn open_starting(place: &Place, size: (u16, u16)) -> Option<Terminal> {
        let command = [OsString::from(env!("CARGO_BIN_EXE_bitacora")), "--data-dir".into(), place.data().into()];
        Terminal::run(&command, size, &[("XDG_STATE_HOME", place.state().to_str().unwrap())])
    }

    pub(super) fn run(program: &[OsString], (columns, rows): (u16, u16), environment: &[(&str, &str)]) -> Option<Terminal> {
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
        command.arg("--ctty").args(program);
        // Nothing of the terminal that the tests run on.
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "COLORTERM", "COLORFGBG", "TERM_PROGRAM", "NO_MOTION"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").envs(environment.iter().copied());
        let program = Process(command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap());
        // One that does not tell its size is taken for one of the usual size.
        let (shown_rows, shown_columns) = if rows == 0 { (24, 80) } else { (rows, columns) };
        let screen = Arc::new(Mutex::new(vt100::Parser::new(shown_rows, shown_columns, 0)));
        let person = File::from(person);
        let hung_up = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (mut output, shown, heard, hung) = (person.try_clone().unwrap(), Arc::clone(&screen), Arc::clone(&sent), Arc::clone(&hung_up));
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while !hung.load(Ordering::Relaxed) {
                let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
                let ready = poll(&mut [PollFd::new(&output, PollFlags::IN)], Some(&patience)).unwrap();
                if ready > 0 {
                    let Ok(count @ 1..) = output.read(&mut bytes) else { return };
                    heard.lock().unwrap().extend_from_slice(&bytes[..count]);
                    shown.lock().unwrap().process(&bytes[..count]);
                }
            }
        });
        Some(Terminal { person: Some(person), line, program, screen, sent, hung_up, reader: Some(reader) })
    }

    pub(super) fn press(&mut self, keys: &str) {
        self.person.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    pub(super) fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen says something.
    pub(super) fn see(&self, wanted: &str) {
        until_or(|| self.text().contains(wanted), || format!("{wanted:?} does not come; there is\n{}", self.text()));
    }

    /// Has it been sent this, whatever it shows of it?
    pub(super) fn was_sent(&self, wanted: &[u8]) -> bool {
        self.sent.lock().unwrap().windows(wanted.len()).any(|window| window == wanted)
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(rows, columns);
        tcsetwinsize(self.person.as_ref().unwrap(), size(columns, rows)).unwrap();
    }

    /// Closes the person's side for good.
    fn hang_up(&mut self) {
        self.hung_up.store(true, Ordering::Relaxed);
        self.reader.take().unwrap().join().unwrap();
        self.person = None;
    }

    /// Touches the first cell of a text.
    fn tap(&mut self, wanted: &str) {
        self.see(wanted);
        let text = self.text();
        let (row, line) = text.lines().enumerate().find(|(_, line)| line.contains(wanted)).unwrap();
        let column = line[..line.find(wanted).unwrap()].chars().count();
        self.press(&format!("\x1b[<0;{0};{1}M\x1b[<0;{0};{1}m", column + 1, row + 1));
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.program.0.id().to_string()]).status().unwrap().success());
    }

    pub(super) fn process(&self) -> u32 {
        self.program.0.id()
    }

    /// Has the program no socket of a network?
    pub(super) fn listens_nowhere(&self) -> bool {
        let process = format!("/proc/{}", self.program.0.id());
        let links = fs::read_dir(format!("{process}/fd")).unwrap().flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        let own: Vec<String> = links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
        assert!(!own.is_empty(), "the socket of its commands is one");
        let tables = ["tcp", "tcp6", "udp", "udp6"].map(|table| fs::read_to_string(format!("{process}/net/{table}")).unwrap_or_default());
        tables.iter().flat_map(|table| table.lines()).all(|line| !line.split_whitespace().nth(9).is_some_and(|inode| own.iter().any(|known| known == inode)))
    }

    /// That a program leaves to a shell.
    pub(super) fn shows_the_first_screen(&self) -> bool {
        let parser = self.screen.lock().unwrap();
        !parser.screen().alternate_screen() && !parser.screen().hide_cursor()
    }

    /// Is it as it was before the program: lines, echo, the first screen, a cursor?
    fn is_as_before(&self) -> bool {
        let cooked = tcgetattr(self.line.as_fd()).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        cooked && self.shows_the_first_screen() && !self.screen.lock().unwrap().screen().bracketed_paste()
    }

    /// Waits for the end; the terminal must be as it was.
    pub(super) fn end(mut self) -> (Option<i32>, String) {
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
fn what_a_master_before_has_seen_is_in_the_timeline() {
    let mut fleet = Fleet::new();
    fleet.place.fill(1);
    let _agent = fleet.join("anvil");
    fleet.place.analyse(0);
    fleet.master.take().unwrap().kill();
    fleet.serve();
    let Some(mut terminal) = Terminal::open(&fleet.place, (100, 30), &[]) else { return };
    terminal.see("healthy");
    terminal.press("5g");
    terminal.see("master-began");
    terminal.press("/");
    terminal.press("job-completed\r");
    terminal.see("job-completed");
    terminal.press("\r");
    terminal.see("the fleet then");
    terminal.see("anvil, paired");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn what_a_command_writes_is_seen_while_it_runs() {
    let fleet = Fleet::new();
    let _agent = fleet.join_with("anvil", &["--program", "sh"]);
    let stop = fleet.place.path("stop");
    let script = format!("n=0; while [ ! -e {} ]; do n=$((n+1)); echo line $n; sleep 0.05; done; echo the last line", stop.display());
    let begun = fleet.place.run(&["spark", "run", "--detach", "sh", "-c", &script]);
    assert_eq!(begun.status.code(), Some(0), "{}", String::from_utf8_lossy(&begun.stderr));
    let Some(mut terminal) = Terminal::open(&fleet.place, (60, 20), &[]) else { return };
    terminal.see("healthy");
    terminal.press("2");
    terminal.see("running");
    terminal.press("s");
    terminal.see("anvil");
    terminal.press("f");
    terminal.see("it runs");
    terminal.see("line 30");
    terminal.press("k");
    terminal.see("more, G follows");
    terminal.press("G");
    fs::write(stop, "").unwrap();
    terminal.see("the last line");
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
    until(|| fs::read_to_string(&stat).unwrap().contains(") T "));
    until(|| terminal.is_as_before());
    terminal.signal("CONT");
    terminal.see("bitacora serve");
    until(|| !terminal.is_as_before());
    terminal.press("?");
    terminal.see("gives the node no more work");
    // The first one closes what stands over the rest.
    terminal.press("qq");
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
    terminal.press("qq");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn a_terminal_that_is_gone_ends_it_in_order() {
    let fleet = Fleet::new();
    for keys in ["", "?", ":node", "5"] {
        let Some(mut terminal) = Terminal::open(&fleet.place, (80, 24), &[]) else { return };
        terminal.see("No node yet");
        terminal.press(keys);
        terminal.hang_up();
        let mut ended = None;
        until(|| {
            ended = terminal.program.0.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.unwrap().code(), Some(143), "after {keys:?}");
    }
}

#[test]
fn terminals_of_no_size_and_of_next_to_none_are_used() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    for (columns, rows, wanted) in [(0, 0, "healthy"), (80, 0, "healthy"), (20, 3, "all is well"), (12, 1, "live"), (1, 1, "")] {
        let Some(mut terminal) = Terminal::open(&fleet.place, (columns, rows), &[]) else { return };
        terminal.see(wanted);
        until(|| !terminal.is_as_before());
        terminal.press("?jjGhdnVPzzzz\r2s3567q");
        assert_eq!(terminal.end().0, Some(0), "{columns}x{rows}");
    }
}

#[test]
fn fingers_do_what_keys_do() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    let Some(mut terminal) = Terminal::open(&fleet.place, (80, 24), &[]) else { return };
    terminal.tap("events");
    terminal.see("node-paired");
    terminal.tap("fleet");
    terminal.see("healthy");
    terminal.tap("cordon");
    terminal.see("anvil cordoned");
    assert_eq!(fleet.node("anvil")["availability"], "cordoned");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn from_a_read_only_dashboard_nothing_is_changed() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    let Some(mut terminal) = Terminal::open_with(&fleet.place, (80, 24), &[], &["--read-only"]) else { return };
    terminal.see("healthy");
    terminal.press("c");
    terminal.see("this dashboard is read-only");
    terminal.press("h");
    until(|| !terminal.text().contains("this dashboard"));
    terminal.press(":node cordon anvil\r");
    terminal.see("this dashboard is read-only");
    terminal.press(":node ls\r");
    terminal.see("exit code 0");
    assert_eq!(fleet.node("anvil")["availability"], "active");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn a_terminal_that_says_that_it_is_light_gets_colours_for_that() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    // However late, as over a slow line; and not where somebody has chosen.
    for (theme, expected) in [(&[][..], 24), (&["--theme", "dark"], 6)] {
        let Some(mut terminal) = Terminal::open_with(&fleet.place, (80, 24), &[], theme) else { return };
        terminal.see("healthy");
        terminal.press("\x1b]11;rgb:ffff/ffff/ffff\x1b\\?");
        terminal.see("gives the node no more work");
        terminal.press("h");
        terminal.see("healthy");
        let healthy = || {
            let parser = terminal.screen.lock().unwrap();
            let sign = (0..24)
                .flat_map(|row| (0..80).map(move |column| (row, column)))
                .find_map(|at| Some(parser.screen().cell(at.0, at.1)?).filter(|cell| cell.contents() == "●"));
            sign.map(vt100::Cell::fgcolor)
        };
        until(|| healthy() == Some(vt100::Color::Idx(expected)));
        terminal.press("q");
        assert_eq!(terminal.end().0, Some(0));
    }
}

#[test]
fn a_name_does_not_steer_the_terminal_that_it_is_printed_on() {
    let place = Place::new();
    place.write("a\u{1b}[2Jb.py", "x = 1\n");
    place.analyse(0);
    let command = ["--data-dir", place.data().to_str().unwrap(), "metrics", "-o", "name"].map(OsString::from);
    let program: Vec<OsString> = std::iter::once(env!("CARGO_BIN_EXE_bitacora").into()).chain(command).collect();
    let Some(terminal) = Terminal::run(&program, (80, 24), &[]) else { return };
    terminal.see("a\\u{1b}[2Jb.py");
    assert_eq!(terminal.end().0, Some(0));
    assert_eq!(place.run(&["metrics", "-o", "name"]).stdout, b"a\x1b[2Jb.py\n", "whoever is no terminal gets every byte");
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

/// An idle dashboard sleeps because its question stays open until there is something to tell.
#[test]
fn a_watch_is_answered_by_the_change_that_it_waits_for() {
    let fleet = Fleet::new();
    fleet.place.fill(1);
    let control = DataDirectory::open(Some(&fleet.place.data())).unwrap().control();
    let ask = |watch: Watch| match control::ask(&control, &Request::Watch(watch)).unwrap() {
        Some(Answer::News(news)) => *news,
        other => panic!("{other:?}"),
    };
    let first = ask(Watch { watcher: 1, ..Watch::default() });
    assert!(first.from_nothing && first.changes.is_empty());
    let event = first.events.last().map_or(0, |event| event.number);
    let waiting = Watch { watcher: 1, known: Some(first.mark), event, focus_known: first.focus_known, ..Watch::default() };
    let open = control::begin(&control, &Request::Watch(waiting.clone())).unwrap().unwrap();
    let mut job = fleet.begin();
    let Answer::News(news) = open.answer().unwrap() else { panic!("it is answered with news") };
    assert!(!news.from_nothing && !news.is_empty(), "nobody is woken for nothing: {news:?}");
    let is_job = |news: &News| news.changes.iter().any(|change| matches!(change, Change::Job(_)));
    let (mut told, mut known) = (is_job(&news), news.mark);
    while !told {
        let news = ask(Watch { known: Some(known), ..waiting.clone() });
        (told, known) = (is_job(&news), news.mark);
    }
    job.kill().unwrap();
    job.wait().unwrap();
}
