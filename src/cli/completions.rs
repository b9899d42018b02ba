//! `bitacora completions SHELL`, and the answers to a shell that completes a line.
//!
//! A shell is told to ask this program: so it completes what this version knows, and the names of the live fleet.

mod live;

use std::env;

use clap::{Args, CommandFactory};
use clap_complete::{
    CompleteEnv, Shell,
    env::{EnvCompleter, Shells},
};

use super::{Arguments, output::Sink};
use crate::exit::Exit;

/// Set by a shell that asks, to its own name.
const VARIABLE: &str = "BITACORA_COMPLETE";
const PROGRAM: &str = "bitacora";

/// Prints what makes a shell complete this program's command lines, names of nodes, projects and jobs included
///
/// bash: put `source <(bitacora completions bash)` into ~/.bashrc; zsh: the same into ~/.zshrc; fish: `bitacora completions
/// fish | source` into ~/.config/fish/config.fish. Printed anew each time it fits this version of the program.
#[derive(Args)]
pub(super) struct Completions {
    /// The shell that is to complete
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let mut out = Sink::open(None)?;
        adapter(self.shell).write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut out)?;
        out.close()?;
        Ok(Exit::Ok)
    }
}

/// `None` where no shell asks.
pub(super) fn answer_shell() -> Option<Exit> {
    env::var_os(VARIABLE)?;
    let folder = env::current_dir().ok();
    let asked = CompleteEnv::with_factory(|| live::with_names(Arguments::command())).var(VARIABLE).completer(PROGRAM);
    match asked.try_complete(env::args_os(), folder.as_deref()) {
        Ok(true) => Some(Exit::Ok),
        Ok(false) => None,
        // Whatever was printed would stand in the middle of the line that is typed.
        Err(_) => Some(Exit::Failure),
    }
}

fn adapter(shell: Shell) -> &'static dyn EnvCompleter {
    let shells: &'static [&'static dyn EnvCompleter] = Shells::builtins().0;
    let wanted = shell.to_string();
    shells.iter().copied().find(|known| known.is(&wanted)).expect("both lists have the same shells")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn registration(shell: Shell) -> String {
        let mut script = Vec::new();
        adapter(shell).write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script).unwrap();
        String::from_utf8(script).unwrap()
    }

    #[test]
    fn each_shell_is_told_to_ask_this_program() {
        for shell in Shell::value_variants() {
            let script = registration(*shell);
            assert!(script.contains(VARIABLE) && script.contains(PROGRAM), "{shell}: {script}");
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            insta::assert_snapshot!(shell.to_string(), registration(shell));
        }
    }
}
