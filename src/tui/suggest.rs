//! How a command line that is being typed may go on.

use super::{
    actions::{ACTIONS, Scope},
    state::State,
};

/// What is missing of the likeliest line; `None` where nothing is known to go on so.
pub fn rest(state: &State, typed: &str) -> Option<String> {
    if typed.trim().is_empty() {
        return None;
    }
    let (before, last) = typed.rsplit_once(' ').map_or(("", typed), |(before, last)| (before, last));
    let first = state.options.commands.iter().find(|line| line.len() > typed.len() && line.starts_with(typed));
    let action = || ACTIONS.iter().find(|row| row.scope.reaches(state.screen.scope()) && row.name.len() > typed.len() && row.name.starts_with(typed));
    let line = first.map(|line| line[typed.len()..].to_owned()).or_else(|| action().map(|row| row.name[typed.len()..].to_owned()));
    line.or_else(|| if before.is_empty() || last.is_empty() { None } else { name(state, before, last) })
}

/// The first word of the commands that are about the same as an action.
fn noun(scope: Scope) -> Option<&'static str> {
    match scope {
        Scope::Fleet => Some("node"),
        Scope::Jobs => Some("job"),
        Scope::Projects => Some("project"),
        _ => None,
    }
}

/// A name of what the command is about.
fn name(state: &State, before: &str, last: &str) -> Option<String> {
    let first = before.split(' ').next().unwrap_or_default();
    let is_command = state.options.commands.iter().any(|command| command == first);
    let action = ACTIONS.iter().find(|row| !is_command && row.name == first);
    let about = action.and_then(|row| noun(row.scope)).unwrap_or(first);
    let rest = |name: &str| name.strip_prefix(last).filter(|rest| !rest.is_empty()).map(str::to_owned);
    match about {
        "node" => state.fleet.nodes.iter().find_map(|node| rest(&node.name)),
        "job" => state.fleet.jobs.iter().find_map(|job| rest(&job.id.to_string())),
        "project" => state.fleet.projects.iter().find_map(|project| rest(&project.name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::samples::person;

    #[test]
    fn a_line_goes_on_with_commands_actions_and_names() {
        let mut state = person(80, 24);
        state.options.commands = ["node", "node ls", "node cordon", "job ls"].map(str::to_owned).into();
        for (typed, expected) in [
            ("nod", Some("e")),
            ("node c", Some("ordon")),
            ("cor", Some("don")),
            ("node cordon be", Some("llows")),
            ("drain be", Some("llows")),
            ("x", None),
            ("", None),
            ("node ", Some("ls")),
        ] {
            assert_eq!(rest(&state, typed).as_deref(), expected, "{typed:?}");
        }
    }
}
