//! What somebody who has no disk of the master's wants to read of results. The master's machine makes it, by a process that
//! reads its disk as every command does; what it writes comes over in parts.

use std::ffi::OsString;

use bitacora_core::ids::JobId;
use serde::{Deserialize, Serialize};

/// A report, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportWish {
    pub report: Report,
    /// As `--output` takes it.
    pub format: String,
    /// For a terminal that shows colours.
    pub is_colored: bool,
}

/// A command that changes nothing but what makes the next one like it faster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// Of a job that is over, as `bitacora analyze` prints it.
    Job { job: JobId },
    /// `bitacora project show`.
    Project { project: Option<String> },
    /// `bitacora symbols`.
    Symbols { query: String, project: Option<String>, limit: u32, source: bool },
    /// `bitacora metrics`.
    Metrics { project: Option<String>, limit: Option<usize> },
    /// `bitacora deps`.
    Deps { project: Option<String>, cycles: bool, limit: Option<usize> },
}

/// A part of a report, in the order in which it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportPart {
    pub bytes: Vec<u8>,
    /// What was said beside it, for people.
    pub said: Vec<u8>,
    /// Of its process, once that was all.
    pub exit: Option<i32>,
}

impl ReportWish {
    /// Records may lie with nodes, and have to be brought first.
    pub fn reads_records(&self) -> bool {
        let is_whole = matches!(self.format.as_str(), "json" | "ndjson" | "ctags");
        match self.report {
            Report::Job { .. } | Report::Metrics { .. } => is_whole,
            Report::Deps { .. } => true,
            Report::Project { .. } | Report::Symbols { .. } => false,
        }
    }

    /// For a process of this program. Each value is a part of its own word, or stands after the words that may be flags.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let color = if self.is_colored { "always" } else { "never" };
        let mut words = vec![format!("--color={color}")];
        let named = |flag: &str, value: &Option<String>| value.iter().map(|value| format!("--{flag}={value}")).collect::<Vec<_>>();
        let last = match &self.report {
            Report::Job { job } => {
                words.push("report-job".to_owned());
                Some(job.to_string())
            }
            Report::Project { project } => {
                words.extend(["project".to_owned(), "show".to_owned()]);
                project.clone()
            }
            Report::Symbols { query, project, limit, source } => {
                words.extend(["symbols".to_owned(), format!("--limit={limit}")]);
                words.extend(named("project", project));
                words.extend(source.then(|| "--source".to_owned()));
                Some(query.clone())
            }
            Report::Metrics { project, limit } => {
                words.push("metrics".to_owned());
                words.extend(limit.map(|limit| format!("--limit={limit}")));
                project.clone()
            }
            Report::Deps { project, cycles, limit } => {
                words.push("deps".to_owned());
                words.extend(cycles.then(|| "--cycles".to_owned()));
                words.extend(limit.map(|limit| format!("--limit={limit}")));
                project.clone()
            }
        };
        words.extend([format!("--output={}", self.format), "--".to_owned()]);
        words.extend(last);
        words.into_iter().map(OsString::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_types_is_no_flag() {
        let wish = |report| ReportWish { report, format: "json --out=/etc/passwd".into(), is_colored: false };
        let words = |report| wish(report).arguments().into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>();
        let query = Report::Symbols { query: "--data-dir=/x".into(), project: Some("--out=/y".into()), limit: 3, source: true };
        assert_eq!(
            words(query),
            ["--color=never", "symbols", "--limit=3", "--project=--out=/y", "--source", "--output=json --out=/etc/passwd", "--", "--data-dir=/x"]
        );
        assert_eq!(words(Report::Project { project: None }), ["--color=never", "project", "show", "--output=json --out=/etc/passwd", "--"]);
    }
}
