//! This process's own children, and those that it is left with: whoever loses its parent below it, as what a command has started does
//! when it kills its supervisor. Nobody else ends or waits for these.
//!
//! The system adopts for the whole process, so what is known of its children is the whole process's as well.

use std::{
    collections::HashSet,
    fs, io,
    process::{Child, Command},
    sync::{LazyLock, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// How often strays are ended, for those who start others meanwhile, and how long between.
const ROUNDS_MAX: u32 = 1000;
const ROUND_EVERY: Duration = Duration::from_millis(1);
/// Numbers that are remembered before those that are gone are forgotten.
const OWN_MAX: usize = 1024;

/// By their numbers; some of them may be gone.
static OWN: LazyLock<Mutex<HashSet<Pid>>> = LazyLock::new(Mutex::default);

/// From now on whoever loses its parent below this process is its child. What is its child already is not ended for it.
pub fn adopt() -> io::Result<()> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).extend(all());
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Starts a child of this process's own.
pub fn start(command: &mut Command) -> io::Result<Child> {
    // Held meanwhile: whoever looks for strays would take it for one.
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if own.len() >= OWN_MAX {
        let here = all();
        own.retain(|child| here.contains(child));
    }
    let child = command.spawn()?;
    own.insert(Pid::from_child(&child));
    Ok(child)
}

/// Ends every child that this process did not start, and theirs, which are its children as soon as their parents have ended.
pub fn end_strays() {
    for _ in 0..ROUNDS_MAX {
        let strays: Vec<Pid> = {
            let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
            all().into_iter().filter(|child| !own.contains(child)).collect()
        };
        if strays.is_empty() {
            return;
        }
        for stray in strays {
            // It may have ended; waited for, its number is free.
            let _ = kill_process(stray, Signal::KILL);
            let _ = waitpid(Some(stray), WaitOptions::NOHANG);
        }
        thread::sleep(ROUND_EVERY);
    }
}

/// Those that there are now, ended ones that nobody has waited for included.
pub fn all() -> HashSet<Pid> {
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
