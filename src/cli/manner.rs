//! How something that changes the fleet is done: really, or told alone; and whether its end is waited for.

use clap::Args;

use super::Context;
use crate::exit::Exit;

// Not a doc comment: clap would take it for what the command does.
#[derive(Args, Default)]
pub(super) struct Trial {
    /// Says what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Does it without a question: of what cannot be taken back there is one
    #[arg(long)]
    pub(super) yes: bool,
}

// Not a doc comment either.
#[derive(Args)]
pub(super) struct Patience {
    /// Waits until it is over, and fails if it ends otherwise
    #[arg(long)]
    pub(super) wait: bool,
    /// Gives up waiting after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    pub(super) timeout: Option<u64>,
}

/// What `--dry-run` ends with; without a plan there is nothing to be done.
pub(super) fn tell(context: &Context, plan: Option<&str>) -> Exit {
    match plan {
        Some(plan) => {
            context.streams.note(&format!("would {plan}"));
            Exit::WouldChange
        }
        None => {
            context.streams.note("nothing would change");
            Exit::Ok
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use crate::{cli::Arguments, tui::actions::only_reads};

    /// Each command with what it takes besides its own: whoever writes one decides this here.
    const TABLE: &[(&str, &[&str])] = &[
        ("analyze", &["output", "timeout", "detach", "dry_run"]),
        ("symbols", &["output"]),
        ("metrics", &["output"]),
        ("deps", &["output"]),
        ("project ls", &["output"]),
        ("project show", &["output"]),
        ("project add", &["dry_run"]),
        ("project rename", &["dry_run"]),
        ("project assign", &["dry_run"]),
        ("project rm", &["dry_run"]),
        ("job ls", &["output"]),
        ("job show", &["output"]),
        ("job explain", &["output"]),
        ("job watch", &["output", "timeout"]),
        ("job cancel", &["dry_run", "wait", "timeout"]),
        ("job retry", &["dry_run", "wait", "timeout"]),
        ("job resume", &["dry_run", "wait", "timeout"]),
        ("job pause", &["dry_run"]),
        ("job priority", &["dry_run"]),
        ("spark run", &["timeout", "detach", "dry_run"]),
        ("spark ls", &["output"]),
        ("spark show", &["output"]),
        ("spark logs", &["follow"]),
        ("spark cancel", &["dry_run"]),
        ("cache stats", &["output"]),
        ("cache gc", &["dry_run"]),
        ("cache warm", &["timeout", "dry_run"]),
        ("bench sparks", &["output"]),
        ("bench link", &["output"]),
        ("bench analysis", &["output"]),
        // Ends by itself, by a signal or never.
        ("serve", &[]),
        ("join", &["dry_run"]),
        ("node ls", &["output"]),
        ("node show", &["output"]),
        ("node doctor", &["output"]),
        ("node discover", &["output"]),
        ("node pair", &["dry_run"]),
        ("node token", &["dry_run"]),
        ("node call", &["dry_run"]),
        ("node cordon", &["dry_run"]),
        ("node uncordon", &["dry_run"]),
        ("node drain", &["dry_run", "wait", "detach", "timeout"]),
        ("node label", &["dry_run"]),
        ("node role", &["dry_run"]),
        ("node right", &["dry_run"]),
        ("node shutdown", &["dry_run"]),
        ("node rm", &["dry_run"]),
        ("events", &["output", "follow"]),
        ("replay", &["output"]),
        ("wait", &["timeout"]),
        ("audit ls", &["output"]),
        ("audit verify", &["output"]),
        // A passphrase is asked for, which is more than a yes.
        ("authority protect", &["dry_run"]),
        ("authority unprotect", &["dry_run"]),
        ("export", &[]),
        // Refused where there is anything already.
        ("import", &["dry_run"]),
        ("script", &["dry_run"]),
        ("schema", &[]),
        ("completions", &[]),
        ("man", &[]),
        ("config show", &["output"]),
        ("config get", &[]),
        ("config set", &["dry_run"]),
        ("config unset", &["dry_run"]),
        ("config check", &[]),
        ("config path", &[]),
        // Over within seconds: it is taken back unless the node is heard.
        ("config push", &["dry_run"]),
        ("doctor", &["output"]),
    ];

    /// Of the flags that mean the same everywhere.
    const COMMON: [&str; 7] = ["output", "dry_run", "yes", "wait", "detach", "timeout", "follow"];

    fn leaves(command: &Command, within: &str) -> Vec<(String, Vec<String>)> {
        let visible: Vec<&Command> = command.get_subcommands().filter(|inner| !inner.is_hide_set()).collect();
        if visible.is_empty() {
            let known = command.get_arguments().map(|argument| argument.get_id().to_string());
            return vec![(within.to_owned(), known.filter(|id| COMMON.contains(&id.as_str())).collect())];
        }
        visible.into_iter().flat_map(|inner| leaves(inner, format!("{within} {}", inner.get_name()).trim())).collect()
    }

    #[test]
    fn every_command_takes_what_the_table_says() {
        let found = leaves(&Arguments::command(), "");
        for (command, mut flags) in found.clone() {
            let Some((_, wanted)) = TABLE.iter().find(|(name, _)| *name == command) else { panic!("{command} is not in the table") };
            let mut wanted = wanted.to_vec();
            // Whoever writes --yes behind whatever changes something is not told that there is no question.
            if flags.contains(&"dry_run".to_owned()) && command != "script" {
                wanted.push("yes");
            }
            wanted.sort_unstable();
            flags.sort_unstable();
            assert_eq!(flags, wanted, "{command}");
        }
        for (name, _) in TABLE {
            assert!(found.iter().any(|(command, _)| command == name), "{name} is no command");
        }
    }

    /// What changes something, and cannot be told without being done.
    const DONE_AT_ONCE: [&str; 2] = ["bench sparks", "serve"];
    /// Neither of the fleet nor of what a person has set.
    const WRITES_A_FILE: [&str; 1] = ["export"];

    #[test]
    fn a_command_that_cannot_be_tried_only_reads_or_is_known_to_change_something() {
        for (name, flags) in TABLE {
            let words: Vec<String> = name.split(' ').map(str::to_owned).collect();
            let changes = flags.contains(&"dry_run") || DONE_AT_ONCE.contains(name) || WRITES_A_FILE.contains(name);
            assert_eq!(only_reads(&words), !changes, "{name}");
        }
    }
}
