//! Names of the live fleet, for a shell that completes a line: at once or not at all. Nothing is started, written or waited for.

use std::{env, ffi::OsString, path::PathBuf, thread, time::Duration};

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use crate::{
    control::{
        self, Answer, Request,
        remote::{Device, Remote},
    },
    data::DataDirectory,
};

/// A person who pressed a key waits for no network.
const PATIENCE: Duration = Duration::from_millis(50);
/// More than anybody reads.
const NAMES_MAX: usize = 1000;

/// Which names an argument takes, by what it is called.
const SOURCES: [(&str, Source); 6] = [
    ("node", Source::Nodes),
    ("nodes", Source::Nodes),
    ("what", Source::Nodes),
    ("project", Source::Projects),
    ("job", Source::Jobs),
    ("spark", Source::Sparks),
];

#[derive(Clone, Copy)]
enum Source {
    Nodes,
    Projects,
    Jobs,
    Sparks,
    /// Nodes that are seen and belong to no fleet yet.
    Strangers,
}

/// The command line, with the names that each of its arguments may be.
pub(super) fn with_names(command: Command) -> Command {
    let pairs = command.get_name() == "pair";
    let command = command.mut_args(|argument| match source(&argument) {
        None => argument,
        Some(_) if pairs => argument.add(ArgValueCandidates::new(|| candidates(Source::Strangers))),
        Some(source) => argument.add(ArgValueCandidates::new(move || candidates(source))),
    });
    command.mut_subcommands(with_names)
}

fn source(argument: &Arg) -> Option<Source> {
    let is_free = argument.get_possible_values().is_empty() && argument.get_action().takes_values();
    SOURCES.iter().find(|(id, _)| is_free && argument.get_id() == id).map(|(_, source)| *source)
}

fn candidates(source: Source) -> Vec<CompletionCandidate> {
    let (tx, rx) = crossbeam_channel::bounded(1);
    let asking = move || {
        // Whoever has waited long enough is gone.
        let _ = tx.send(ask(&source.request()).map_or_else(Vec::new, |answer| source.names(answer)));
    };
    // Left to itself when it takes too long: the process ends before it.
    let begun = thread::Builder::new().name("names".into()).spawn(asking);
    let names = begun.ok().and_then(|_| rx.recv_timeout(PATIENCE).ok()).unwrap_or_default();
    let plain = names.into_iter().filter(|(name, _)| is_plain(name)).take(NAMES_MAX);
    plain.map(|(name, about)| CompletionCandidate::new(name).help(Some(about.into()))).collect()
}

/// Another would have to be quoted, each shell in its own way, and may steer a terminal.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && name.chars().all(|c| c.is_alphanumeric() || "-_./+@".contains(c))
}

impl Source {
    fn request(self) -> Request {
        match self {
            Source::Nodes => Request::Nodes,
            Source::Projects | Source::Jobs => Request::Snapshot,
            Source::Sparks => Request::Sparks { job: None },
            Source::Strangers => Request::Discovered,
        }
    }

    /// With a word about each.
    fn names(self, answer: Answer) -> Vec<(String, String)> {
        match (self, answer) {
            (Source::Nodes, Answer::Nodes(nodes)) => nodes.into_iter().map(|node| (node.name, node.health)).collect(),
            (Source::Projects, Answer::Snapshot(fleet)) => fleet.projects.into_iter().map(|project| (project.name, project.root)).collect(),
            (Source::Jobs, Answer::Snapshot(fleet)) => fleet.jobs.into_iter().map(|job| (job.id.to_string(), job.status.name().to_owned())).collect(),
            (Source::Sparks, Answer::Sparks(sparks)) => sparks.into_iter().map(|spark| (spark.id, spark.status)).collect(),
            (Source::Strangers, Answer::Discovered(seen)) => seen.into_iter().filter(|seen| !seen.paired).map(|seen| (seen.name, seen.key)).collect(),
            _ => Vec::new(),
        }
    }
}

fn ask(request: &Request) -> Option<Answer> {
    let words: Vec<OsString> = env::args_os().skip_while(|word| word != "--").collect();
    let data = DataDirectory::existing(value(&words, "--data-dir").map(PathBuf::from).as_deref())?;
    match value(&words, "--connect") {
        None => control::ask(&data.control(), request).ok()?,
        Some(fleet) => {
            let device = Device::find(&data.fleets(), fleet.to_str()?).ok()??;
            Remote::connect(&device).ok()?.ask(request).ok()
        }
    }
}

/// What a flag was given on the line that is completed; the line may be unfinished, and is not parsed.
fn value(words: &[OsString], flag: &str) -> Option<OsString> {
    let after = words.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1].clone());
    let joined = || words.iter().find_map(|word| Some(word.to_str()?.strip_prefix(flag)?.strip_prefix('=')?.into()));
    after.or_else(joined)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Arguments;

    #[test]
    fn arguments_that_are_names_are_completed() {
        let command = with_names(Arguments::command());
        let has = |path: &[&str], argument: &str| {
            let command = path.iter().fold(&command, |command, name| command.find_subcommand(name).unwrap());
            command.get_arguments().find(|known| known.get_id() == argument).unwrap().get::<ArgValueCandidates>().is_some()
        };
        for (path, argument) in [
            (&["node", "show"][..], "node"),
            (&["node", "pair"], "node"),
            (&["wait"], "what"),
            (&["project", "assign"], "nodes"),
            (&["symbols"], "project"),
            (&["job", "cancel"], "job"),
            (&["spark", "logs"], "spark"),
        ] {
            assert!(has(path, argument), "{path:?} {argument}");
        }
        assert!(!has(&["analyze"], "job"), "the types of jobs are known");
    }

    #[test]
    fn an_unfinished_line_says_where_the_data_lie() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(value(&words("-- bitacora --data-dir /a node show"), "--data-dir"), Some("/a".into()));
        assert_eq!(value(&words("-- bitacora node --data-dir=/a show"), "--data-dir"), Some("/a".into()));
        assert_eq!(value(&words("-- bitacora node show --data-dir"), "--data-dir"), None);
    }

    #[test]
    fn a_name_that_would_have_to_be_quoted_is_left_out() {
        assert!(["anvil", "j1.2", "j1.2/0", "größe"].into_iter().all(is_plain));
        assert!(!["", "-x", "a b", "$(x)", "a;b", "\u{1b}[2J", "a\u{202e}b", "a'b"].into_iter().any(is_plain));
    }
}
