//! All that a command has started, however it tried to get away: a process that leaves the group, or whose parent ends, is
//! the supervisor's own child then. Where the system has no such thing, the group is all that is known.

use std::io;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};

use crate::children;

/// How often what is left is ended, for those who start others meanwhile.
const ROUNDS_MAX: u32 = 1000;

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
        let children = children::all();
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
