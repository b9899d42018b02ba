//! The command line of an action, for what is selected and what was typed, or for what is named beside it; and the one that takes it back.

use bitacora_core::fleet::Priority;

use super::{ACTIONS, Does, Typed};
use crate::tui::{subject::Subject, words};

/// Stands for what the command said.
const SAID: &str = "{said}";

/// A command line that takes something back, now that is known what it said.
pub fn with_said(words: Vec<String>, said: &str) -> Vec<String> {
    words.into_iter().map(|word| if word == SAID { said.to_owned() } else { word }).collect()
}

/// The words of a command line for what is selected, and what was typed; `None` where there is no such part, or a quote is not ended.
pub fn words(line: &str, subject: &Subject, typed: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for word in line.split(' ') {
        match word {
            "{typed}" => all.extend(words::split(typed)?),
            "{closed}" => all.extend(closed(subject)?),
            "{nodes}" => all.extend(assigned(subject)?),
            "{labels}" => all.extend(labels_before(subject, typed)?),
            // Of what has not run yet: it is filled in when it has.
            SAID => all.push(word.to_owned()),
            part if part.starts_with('{') => all.push(self::part(part, subject)?),
            word => all.push(word.to_owned()),
        }
    }
    Some(all)
}

/// Why the name of an action and what follows are no command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpelledError {
    #[error("{0} is something to be done in a dashboard, and no command")]
    Here(&'static str),
    #[error("{name} is about what is selected; as a command it is `{line}`")]
    Selected { name: &'static str, line: &'static str },
    #[error("{name} is followed by what it is about: `{line}`")]
    Short { name: &'static str, line: &'static str },
    #[error("{name} asks for something that stands in no line; type `{line}` on a terminal")]
    Asks { name: &'static str, line: &'static str },
}

/// `drain anvil`: the name of an action, and behind it what its command line has places for, and more. `None` where the first word is no action's name,
/// or that of a command too: `commands` are the beginnings of all command lines.
///
/// What is asked about in a dashboard because it cannot be taken back is not agreed to by naming it: there `--yes` is for the person to write.
pub fn spelled(all: &[String], commands: &[String]) -> Option<Result<Vec<String>, SpelledError>> {
    let (name, named) = all.split_first().filter(|(name, _)| !commands.contains(name))?;
    let row = ACTIONS.iter().find(|row| row.name == name)?;
    let Does::Command(command) = &row.does else { return Some(Err(SpelledError::Here(row.name))) };
    let (name, line) = (row.name, command.line);
    if let Typed::Secret(_) = command.typed {
        return Some(Err(SpelledError::Asks { name, line }));
    }
    let (mut words, mut named) = (Vec::new(), named.iter().cloned());
    for word in line.split(' ').filter(|word| *word != "--yes") {
        match word {
            "{typed}" => words.extend(named.by_ref()),
            "{higher}" | "{lower}" => return Some(Err(SpelledError::Selected { name, line })),
            place if place.starts_with('{') => match named.next() {
                Some(word) => words.push(word),
                None => return Some(Err(SpelledError::Short { name, line })),
            },
            word => words.push(word.to_owned()),
        }
    }
    words.extend(named);
    Some(Ok(words))
}

fn part(word: &str, subject: &Subject) -> Option<String> {
    Some(match (word, subject) {
        ("{node}", Subject::Node(node)) => node.handle.clone(),
        ("{id}", Subject::Node(node)) => node.id.clone(),
        ("{job}", Subject::Job(job)) => job.id.to_string(),
        ("{priority}", Subject::Job(job)) => job.priority.name().to_owned(),
        ("{higher}", Subject::Job(job)) => PRIORITIES[place_of(job.priority).checked_sub(1)?].name().to_owned(),
        ("{lower}", Subject::Job(job)) => PRIORITIES.get(place_of(job.priority) + 1)?.name().to_owned(),
        ("{spark}", Subject::Spark(spark)) => spark.id.to_string(),
        ("{project}", Subject::Project(project)) => project.id.to_string(),
        ("{root}", Subject::Project(project)) => project.root.clone(),
        ("{name}", Subject::Project(project)) => project.name.clone(),
        ("{key}", Subject::Seen(seen)) => seen.key.clone(),
        _ => return None,
    })
}

/// What makes a node as closed as it is: a drain goes on for as long as it would have.
fn closed(subject: &Subject) -> Option<Vec<String>> {
    let Subject::Node(node) = subject else { return None };
    let seconds = node.drains_for.map(|span| span.0.div_ceil(1_000_000).max(1));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Some(match seconds {
        Some(seconds) => words(&["drain", &node.handle, "--deadline", &format!("{seconds}s"), "--detach"]),
        None => words(&["cordon", &node.handle]),
    })
}

/// The nodes that a project is assigned to: nothing, where those are all.
fn assigned(subject: &Subject) -> Option<Vec<String>> {
    let Subject::Project(project) = subject else { return None };
    Some(project.nodes.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

/// What gives the labels that are about to be changed the values that a person gave them, or takes them away: the node's own show again.
fn labels_before(subject: &Subject, typed: &str) -> Option<Vec<String>> {
    let Subject::Node(node) = subject else { return None };
    let keys = words::split(typed)?.into_iter().map(|change| change.split_once('=').map_or(change.trim_end_matches('-'), |(key, _)| key).to_owned());
    Some(keys.map(|key| node.given_labels.get(&key).map_or_else(|| format!("{key}-"), |value| format!("{key}={value}"))).collect())
}

const PRIORITIES: [Priority; 5] = [Priority::Critical, Priority::High, Priority::Normal, Priority::Low, Priority::Background];

fn place_of(priority: Priority) -> usize {
    PRIORITIES.iter().position(|other| *other == priority).expect("every priority is in the list")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Result<String, SpelledError>> {
        let commands = ["help", "node", "node ls", "analyze"].map(str::to_owned);
        spelled(&words::split(line).unwrap(), &commands).map(|spelled| spelled.map(|words| words::join(&words)))
    }

    #[test]
    fn a_name_and_what_it_is_about_are_a_command_line() {
        for (line, expected) in [
            ("cordon anvil", "node cordon anvil"),
            ("drain anvil", "node drain anvil --detach"),
            ("label 'an anvil' zone=eu rack-", "node label 'an anvil' zone=eu rack-"),
            ("run anvil make -j2", "spark run --detach --nodes anvil -- make -j2"),
            ("rm anvil", "node rm anvil"),
            ("rm anvil --yes", "node rm anvil --yes"),
            ("assign linux", "project assign linux"),
            ("hybrid", "node role hybrid"),
            ("retry j1.9 --wait", "job retry j1.9 --wait"),
            ("verify", "audit verify"),
        ] {
            assert_eq!(of(line), Some(Ok(expected.to_owned())), "{line}");
        }
        assert_eq!(of("node ls"), None);
        assert_eq!((of("analyze src"), of("help node")), (None, None));
        assert_eq!(of(""), None);
    }

    #[test]
    fn what_is_no_command_line_says_why() {
        assert_eq!(of("quit"), Some(Err(SpelledError::Here("quit"))));
        assert_eq!(of("pair k4b1d2"), Some(Err(SpelledError::Asks { name: "pair", line: "node pair {key}" })));
        assert_eq!(of("raise j1.9"), Some(Err(SpelledError::Selected { name: "raise", line: "job priority {job} {higher}" })));
        assert_eq!(of("cordon"), Some(Err(SpelledError::Short { name: "cordon", line: "node cordon {node}" })));
    }
}
