//! What a process of ours gives up before it works on what others have written: files that it has no business with (Landlock,
//! where the kernel has it), memory beyond a limit, and its share of a busy machine.
//!
//! Nothing can be taken back: what is given up is given up for the rest of a thread's life, and for all that it starts.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Resource, Rlimit, setrlimit};

/// Below whatever a person runs on the machine, and above what is to run only when nothing else does.
const NICE: i32 = 10;
/// Where whatever is written is nobody's file.
const DEVICES: &str = "/dev";

/// What a command may take and touch, as the node's owner configured it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLimits {
    /// Of each of its processes; as much as there is if not given.
    pub memory_bytes: Option<u64>,
    /// It may write here, and in a folder that is made for it; wherever its user may if not given.
    pub writable: Option<Vec<PathBuf>>,
}

/// From now on this thread, and whatever it starts, gives way to others.
pub fn give_way() {
    // Elsewhere a priority is the whole process's, heartbeats included.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let nice = rustix::process::getpriority_process(None).unwrap_or(0).max(NICE);
        // Nobody is refused to give way.
        let _ = rustix::process::setpriority_process(None, nice);
    }
}

/// From now on no file is there for this thread, and whatever it starts, but those that are open. Where the kernel cannot do that,
/// nothing has changed.
pub fn to_nothing() -> bool {
    kernel::restrict(kernel::Handled::All, &[])
}

/// From now on the end of the thread that started this process is its end too, whatever it is at. Where the system cannot do
/// that, it ends when it looks for its parent next.
pub fn end_with_parent() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // Nobody is refused it.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
}

/// Can the kernel do that?
pub fn is_available() -> bool {
    kernel::is_available()
}

/// Becomes a command within its limits: it returns only if that cannot be.
pub fn become_command(limits: &CommandLimits, program: &Path, arguments: &[OsString]) -> io::Error {
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(writable) = &limits.writable {
        let folders: Vec<&Path> = writable.iter().map(PathBuf::as_path).chain([Path::new(DEVICES)]).collect();
        if !kernel::restrict(kernel::Handled::Writing, &folders) {
            return io::Error::other("this kernel cannot keep a command from writing where it likes");
        }
    }
    if let Some(bytes) = limits.memory_bytes
        && let Err(error) = setrlimit(Resource::As, Rlimit { current: Some(bytes), maximum: Some(bytes) })
    {
        return error.into();
    }
    command.exec()
}

#[cfg(target_os = "linux")]
mod kernel {
    //! The one place that knows the crate.

    use std::path::Path;

    use landlock::{
        ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
    };

    /// The newest that is asked for; of an older kernel's what it has.
    const NEWEST: ABI = ABI::V6;

    #[derive(Clone, Copy)]
    pub(super) enum Handled {
        All,
        Writing,
    }

    /// To what is below these folders.
    pub(super) fn restrict(handled: Handled, folders: &[&Path]) -> bool {
        let restrict = || -> Result<RulesetStatus, RulesetError> {
            let handled = match handled {
                Handled::All => AccessFs::from_all(NEWEST),
                Handled::Writing => AccessFs::from_write(NEWEST),
            };
            // Nor may it signal what it has not started: its supervisor above all.
            let rules = Ruleset::default().handle_access(handled)?.scope(Scope::Signal)?.create()?;
            let status = rules.add_rules(path_beneath_rules(folders, handled))?.restrict_self()?;
            Ok(status.ruleset)
        };
        restrict().is_ok_and(|status| status != RulesetStatus::NotEnforced)
    }

    pub(super) fn is_available() -> bool {
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::from_all(ABI::V1)).is_ok_and(|rules| rules.create().is_ok())
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    //! There is none.

    use std::path::Path;

    #[derive(Clone, Copy)]
    pub(super) enum Handled {
        All,
        Writing,
    }

    pub(super) fn restrict(_: Handled, _: &[&Path]) -> bool {
        false
    }

    pub(super) fn is_available() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read, thread};

    use super::*;

    #[test]
    fn what_is_given_up_is_gone_for_the_thread_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        if !is_available() {
            return;
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut open = fs::File::open(&file).unwrap();
                assert!(to_nothing());
                assert!(fs::read(&file).is_err() && fs::write(&file, "y").is_err() && fs::write(folder.path().join("new"), "y").is_err());
                assert!(fs::remove_file(&file).is_err() && fs::read("/etc/passwd").is_err());
                let mut read = String::new();
                open.read_to_string(&mut read).unwrap();
                assert_eq!(read, "x", "it was open");
            });
        });
        assert_eq!(fs::read(&file).unwrap(), b"x");
    }

    #[test]
    fn who_gives_way_does_so_alone() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let after = thread::spawn(move || {
            give_way();
            (nice(), thread::spawn(nice).join().unwrap())
        });
        let expected = before.max(NICE);
        assert_eq!(after.join().unwrap(), (expected, expected), "and what it starts");
        assert_eq!(nice(), before);
    }
}
