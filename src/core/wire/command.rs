//! A spark that is a command line: what is run, and what came of it.
//!
//! There is no shell: a program and its arguments. Whether a node may run the program is for the node's own
//! configuration to say; nothing here decides that.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// Bytes of program, arguments and environment together: they are journalled, and go with every attempt.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a command's output that are kept if nothing else was asked for.
pub const OUTPUT_BYTES: u64 = 1 << 20;
/// The most that can be asked for: a log is one blob, sent whole.
pub const OUTPUT_BYTES_MAX: u64 = 64 << 20;

/// A program and what it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// As the node's configuration names it: a name, or an absolute path.
    pub program: String,
    pub arguments: Vec<String>,
    /// All that the program finds in its environment, besides `PATH`, `HOME` and the names of job, spark and attempt.
    pub environment: BTreeMap<String, String>,
    /// Of standard output and standard error together; what comes after that is counted and dropped.
    pub output_bytes_max: u64,
    /// A tree of the master's, absolute, in which it runs where that is on the node's disk; an empty folder of its own if none.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "serde_bytes")]
    pub folder: Option<Vec<u8>>,
}

/// Why a command line is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    NoProgram,
    /// A NUL in it, which no system call can pass on.
    Nul,
    /// A name of a variable that is empty or has a `=`.
    Variable(String),
    TooLong {
        bytes: usize,
    },
    Output {
        bytes: u64,
    },
}

impl core::fmt::Display for LineError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            LineError::NoProgram => f.write_str("the command has no program"),
            LineError::Nul => f.write_str("the command holds a NUL"),
            LineError::Variable(name) => write!(f, "{name:?} is no name of a variable"),
            LineError::TooLong { bytes } => write!(f, "the command has {bytes} bytes with its environment, and may have {LINE_BYTES_MAX}"),
            LineError::Output { bytes } => write!(f, "{bytes} bytes of output are more than the {OUTPUT_BYTES_MAX} that can be kept"),
        }
    }
}

impl core::error::Error for LineError {}

impl CommandLine {
    /// Can it be run at all, and kept?
    pub fn check(&self) -> Result<(), LineError> {
        let variables = self.environment.iter().flat_map(|(name, value)| [name, value]);
        let texts = || core::iter::once(&self.program).chain(&self.arguments).chain(variables.clone());
        let bytes = texts().map(|text| text.len() + 1).sum();
        if self.program.is_empty() {
            return Err(LineError::NoProgram);
        }
        if texts().any(|text| text.contains('\0')) {
            return Err(LineError::Nul);
        }
        if let Some(name) = self.environment.keys().find(|name| name.is_empty() || name.contains('=')) {
            return Err(LineError::Variable(name.clone()));
        }
        if bytes > LINE_BYTES_MAX {
            return Err(LineError::TooLong { bytes });
        }
        if self.output_bytes_max > OUTPUT_BYTES_MAX {
            return Err(LineError::Output { bytes: self.output_bytes_max });
        }
        Ok(())
    }
}

/// How a command ended, and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandEnd {
    pub status: ExitStatus,
    /// The blob with its output.
    pub log: Digest,
    pub log_bytes: u64,
    /// Bytes that it wrote beyond what is kept.
    pub dropped_bytes: u64,
}

/// What its process ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    Code(i32),
    Signal(i32),
}

impl ExitStatus {
    pub const fn is_success(self) -> bool {
        matches!(self, ExitStatus::Code(0))
    }
}

impl core::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "status {code}"),
            ExitStatus::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn line(program: &str) -> CommandLine {
        CommandLine { program: program.to_string(), output_bytes_max: OUTPUT_BYTES, ..CommandLine::default() }
    }

    #[test]
    fn what_no_system_could_run_is_not_taken() {
        assert_eq!(line("true").check(), Ok(()));
        assert_eq!(line("").check(), Err(LineError::NoProgram));
        assert_eq!(line("a\0b").check(), Err(LineError::Nul));
        let set = |name: &str| CommandLine { environment: [(name.to_string(), String::new())].into(), ..line("true") };
        assert_eq!(set("A").check(), Ok(()));
        assert_eq!(set("A=B").check(), Err(LineError::Variable("A=B".to_string())));
        assert_eq!(CommandLine { output_bytes_max: OUTPUT_BYTES_MAX + 1, ..line("true") }.check(), Err(LineError::Output { bytes: OUTPUT_BYTES_MAX + 1 }));
        assert!(matches!(line(&"x".repeat(LINE_BYTES_MAX)).check(), Err(LineError::TooLong { .. })));
    }
}
