//! The README's first fleet, exactly as it is written there: on two machines that have the two programs and nothing else.

use std::{
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use bitacora::data::DataDirectory;

use super::{
    fleet::{agent_program, until},
    lan::Lan,
    support::{Place, report, timeless},
};

const LAPTOP: usize = 0;
const SERVER: usize = 1;

/// The commands of each block of the section, without what is said beside them.
fn written() -> Vec<Vec<String>> {
    let readme = include_str!("../README.md");
    let section = readme.split("\n## Your first fleet\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let commands = |block: &str| {
        let lines = block.split("```").next().unwrap_or_default().lines();
        lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    section.split("```sh\n").skip(1).map(commands).collect()
}

/// Somebody at a machine, with a home of their own.
struct Person<'l> {
    lan: &'l Lan,
    machine: usize,
    home: PathBuf,
    /// Process groups of what was typed: some of it goes on in the background.
    groups: Vec<u32>,
}

impl<'l> Person<'l> {
    fn at(lan: &'l Lan, machine: usize, place: &Place) -> Person<'l> {
        let home = place.path(&format!("home{machine}"));
        fs::create_dir(&home).unwrap();
        Person { lan, machine, home, groups: Vec::new() }
    }

    /// Types a line, and what is asked for after it.
    fn types(&mut self, line: &str, answer: &str) -> Output {
        let mut command = self.lan.at(self.machine, Command::new("sh").args(["-c", line]));
        let programs = agent_program().parent().unwrap();
        command.env("HOME", &self.home).env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap())).env_remove("XDG_DATA_HOME");
        // What stays in the background keeps what it was given: only files do not have to be read to their end.
        let (out, err) = (self.home.join("stdout"), self.home.join("stderr"));
        command.stdin(Stdio::piped()).stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap()).process_group(0);
        let mut child = command.spawn().unwrap();
        self.groups.push(child.id());
        // It may have ended without asking.
        let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
        let status = child.wait().unwrap();
        Output { status, stdout: fs::read(out).unwrap(), stderr: fs::read(err).unwrap() }
    }
}

impl Drop for Person<'_> {
    fn drop(&mut self) {
        // A master that was started on the way has left the group of whoever started it.
        let master = DataDirectory::open(Some(&self.home.join(".local/share/bitacora"))).ok().and_then(|data| data.holder());
        let _ = master.map(|master| Command::new("kill").args(["-9", &master.to_string()]).status());
        // Most of them are gone.
        let _ = Command::new("kill").args(["-9", "--"]).args(self.groups.iter().map(|group| format!("-{group}"))).stderr(Stdio::null()).status();
    }
}

#[test]
fn the_first_fleet_works_as_it_is_written() {
    let blocks = written();
    let [server, laptop, ..] = blocks.as_slice() else { panic!("{blocks:?}") };
    assert_eq!((server.len(), laptop.len()), (2, 1));
    let Some(lan) = Lan::new(2) else { return };
    let place = Place::new();
    place.fill(20);
    lan.run(SERVER, "hostname server1");
    let (mut laptop_user, mut server_user) = (Person::at(&lan, LAPTOP, &place), Person::at(&lan, SERVER, &place));
    assert!(server_user.types(&server[0], "").status.success());
    until(|| server_user.home.join(".local/share/fleet-agent/pairing-code").exists());
    let code = String::from_utf8(server_user.types(&server[1], "").stdout).unwrap();
    let paired = laptop_user.types(&laptop[0], &code);
    assert!(paired.status.success(), "{}", String::from_utf8_lossy(&paired.stderr));
    let mut healthy = || {
        let nodes = report(&laptop_user.types("bitacora node ls -o json", ""), 0);
        nodes["items"].as_array().unwrap().iter().any(|node| node["name"] == "server1" && node["health"] == "healthy")
    };
    until(&mut healthy);
    let analysed = laptop_user.types(&format!("bitacora analyze {} --nodes server1 -o json", place.tree().display()), "");
    assert_eq!(timeless(report(&analysed, 0)), timeless(place.analyse(0)));
}
