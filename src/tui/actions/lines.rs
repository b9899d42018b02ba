//! The command line of an action, for what is selected and what was typed; and the one that takes it back.

use bitacora_core::fleet::Priority;

use crate::tui::{subject::Subject, words};

/// The words of a command line for what is selected, and what was typed; `None` where there is no such part, or a quote is not ended.
pub fn words(line: &str, subject: &Subject, typed: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for word in line.split(' ') {
        match word {
            "{typed}" => all.extend(words::split(typed)?),
            "{closed}" => all.extend(closed(subject)?),
            "{nodes}" => all.extend(assigned(subject)?),
            "{labels}" => all.extend(labels_before(subject, typed)?),
            part if part.starts_with('{') => all.push(self::part(part, subject)?),
            word => all.push(word.to_owned()),
        }
    }
    Some(all)
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
