//! Exit codes: part of the interface, the same for every command.

/// What a command's process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    /// A failure, or findings at `--fail-on`.
    Failure = 1,
    Usage = 2,
    /// Some of what was asked for could not be done; it is named.
    Partial = 3,
    Authentication = 4,
    /// Nothing matched, or more than one thing did.
    NoMatch = 5,
    TimedOut = 6,
    Unreachable = 7,
    RemoteFailed = 8,
    /// Needs `--yes`, or is forbidden.
    Refused = 9,
    /// `--dry-run` would change something.
    WouldChange = 10,
    Interrupted = 130,
    Terminated = 143,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> std::process::ExitCode {
        std::process::ExitCode::from(exit as u8)
    }
}
