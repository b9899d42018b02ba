//! All that a command has started, however it tried to get away: a process that leaves the group, or whose parent ends, is
//! the supervisor's own child then. Where the system has no such thing, the group is all that is known.

use std::{fs, io};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};

/// How often what is left is ended, for those who start others meanwhile.
const ROUNDS_MAX: u32 = 1000;

/// From now on whoever loses its parent below this process is its child.
pub(super) fn adopt() -> io::Result<()> {
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
