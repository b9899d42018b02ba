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

impl Exit {
    pub const ALL: [Exit; 13] = [
        Exit::Ok,
        Exit::Failure,
        Exit::Usage,
        Exit::Partial,
        Exit::Authentication,
        Exit::NoMatch,
        Exit::TimedOut,
        Exit::Unreachable,
        Exit::RemoteFailed,
        Exit::Refused,
        Exit::WouldChange,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    /// For the help and the manual.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "it is done",
            Exit::Failure => "it failed",
            Exit::Usage => "the command line, a script or the configuration is wrong",
            Exit::Partial => "some of it could not be done, and is named",
            Exit::Authentication => "a passphrase, a code, a token or a certificate does not do",
            Exit::NoMatch => "nothing is called so, or more than one thing is",
            Exit::TimedOut => "the time is over",
            Exit::Unreachable => "no master serves, or the one that does cannot be reached",
            Exit::RemoteFailed => "the work that was waited for has failed",
            Exit::Refused => "refused: it needs --yes, or a right, or cannot be done now",
            Exit::WouldChange => "--dry-run: something would be changed",
            Exit::Interrupted => "interrupted (SIGINT)",
            Exit::Terminated => "told to end (SIGTERM, SIGHUP)",
        }
    }

    /// Of a process of this program; one that ended in another way has failed.
    pub fn of_code(code: i32) -> Exit {
        Exit::ALL.into_iter().find(|exit| *exit as i32 == code).unwrap_or(Exit::Failure)
    }

    /// Of whoever was told by a signal to end.
    pub fn of_signal(signal: i32) -> Exit {
        if signal == signal_hook::consts::SIGINT { Exit::Interrupted } else { Exit::Terminated }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> std::process::ExitCode {
        std::process::ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_one_exit() {
        for exit in Exit::ALL {
            assert_eq!(Exit::of_code(exit as i32), exit);
        }
        assert_eq!([Exit::of_code(101), Exit::of_code(137), Exit::of_code(-1)], [Exit::Failure; 3]);
    }
}
