//! All that a command has started, however it tried to get away: a process that leaves the group, or whose parent ends, is
//! the supervisor's own child then. A command may kill its supervisor, whose user it shares: then what is left is the agent's.
//! Where the system has no such thing, the group is all that is known.

use std::{collections::BTreeSet, fs, io, path::PathBuf, thread, time::Duration};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait, waitpid};

/// How often what is left is ended, for those who start others meanwhile.
const ROUNDS_MAX: u32 = 1000;
/// Between two such rounds where nobody waits for an end.
const ROUND_EVERY: Duration = Duration::from_millis(1);

/// From now on whoever loses its parent below this process is its child.
pub fn adopt() -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Waits for this child; others that end in the meantime are let go.
pub(super) fn wait_for(child: Pid) -> io::Result<WaitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == child => return Ok(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends all children, and theirs, which are children here as soon as their parents have ended.
pub(super) fn end_all() {
    for _ in 0..ROUNDS_MAX {
        let children = children();
        if children.is_empty() {
            return;
        }
        for child in &children {
            // It may have ended.
            let _ = kill_process(*child, Signal::KILL);
        }
        for _ in children {
            let _ = wait(WaitOptions::empty());
        }
    }
}

/// Ends what has come to this process from supervisors that are gone. Its own children run its own program: whatever runs another
/// one has come so.
pub(super) fn end_strays() {
    let Some(own) = program("self") else { return };
    let mut ended = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let is_stray = |child: &Pid| program(&child.as_raw_nonzero().to_string()).is_some_and(|program| program != own);
        let strays: Vec<Pid> = children().into_iter().filter(is_stray).collect();
        for stray in &strays {
            // It may have ended.
            let _ = kill_process(*stray, Signal::KILL);
            ended.insert(stray.as_raw_nonzero());
        }
        // Nobody else waits for them, and for nobody else is waited here.
        ended.retain(|stray| matches!(waitpid(Some(Pid::from_raw(stray.get()).expect("it is not 0")), WaitOptions::NOHANG), Ok(None)));
        if strays.is_empty() && ended.is_empty() {
            return;
        }
        thread::sleep(ROUND_EVERY);
    }
}

/// Of a process that has not ended.
fn program(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/exe")).ok()
}

fn children() -> Vec<Pid> {
    let me = std::process::id().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|number| parent(*number).is_some_and(|parent| parent == me)).filter_map(Pid::from_raw).collect()
}

/// The second field after the name, which is in brackets and may hold anything.
fn parent(process: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').nth(1)?.to_owned())
}
