//! `bitacora man`: the manual, made of the same table as the help.

use std::{fs, io, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory};
use clap_mangen::{
    Man as Page,
    roff::{Roff, roman},
};

use super::{
    Arguments,
    output::{Sink, UsageError},
};
use crate::exit::Exit;

/// The environment, for the page of the whole program.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("BITACORA_CONFIG", "The configuration, where --config names none; `bitacora config path` says which it is."),
    ("BITACORA_THEME and the like", "A setting of `bitacora config show`, in capitals and with _; wins over the file."),
    ("NO_COLOR, CLICOLOR_FORCE", "No colours, or colours also where there is no terminal."),
    ("NO_MOTION", "The dashboard does not move anything by itself."),
    ("COLORFGBG", "The colours of the terminal: whether the dashboard is to be dark or light."),
    ("LC_ALL, LC_CTYPE, LANG", "Whether the terminal shows more than ASCII."),
    ("XDG_DATA_HOME, XDG_STATE_HOME", "Where state is kept without --data-dir, and apart from it what opens the fleet's authority."),
    ("TERM", "On a terminal that is dumb there is no dashboard."),
];

/// Prints the manual's page of this program or of a command, for `man -l -`; or writes all pages into a folder
#[derive(Args)]
pub(super) struct Man {
    /// The words of a command, as in `bitacora man node drain`
    #[arg(conflicts_with = "out")]
    command: Vec<String>,
    /// Writes every page into this folder, which is made if it is missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let program = program();
        match self.out {
            Some(folder) => {
                fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
                for command in all(&program) {
                    let mut out = Sink::open(Some(&folder.join(file_name(command))))?;
                    write(command, &mut out)?;
                    out.close()?;
                }
            }
            None => {
                let mut out = Sink::open(None)?;
                write(find(&program, &self.command)?, &mut out)?;
                out.close()?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn program() -> Command {
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    program
}

fn find<'c>(program: &'c Command, words: &[String]) -> Result<&'c Command, UsageError> {
    words.iter().try_fold(program, |command, word| {
        let found = command.find_subcommand(word).filter(|found| !found.is_hide_set());
        found.ok_or_else(|| UsageError(format!("there is no command {}; `bitacora --help` lists them", words.join(" "))))
    })
}

/// The program itself first.
fn all(command: &Command) -> Vec<&Command> {
    let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set()).flat_map(all);
    std::iter::once(command).chain(inner).collect()
}

fn file_name(command: &Command) -> String {
    format!("{}.1", command.get_display_name().unwrap_or_else(|| command.get_name()))
}

fn write(command: &Command, out: &mut impl io::Write) -> io::Result<()> {
    Page::new(command.clone()).source(format!("bitacora {}", env!("CARGO_PKG_VERSION"))).manual("Bitácora fleets").render(out)?;
    let mut rest = Roff::default();
    let mut list = |title: &str, entries: Vec<(String, String)>| {
        rest.control("SH", [title]);
        for (term, text) in entries {
            rest.control("TP", []);
            rest.text([roman(term)]);
            rest.text([roman(text)]);
        }
    };
    if command.get_name() == "bitacora" {
        list("ENVIRONMENT", ENVIRONMENT.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec());
    }
    list("EXIT STATUS", Exit::ALL.map(|exit| ((exit as u8).to_string(), exit.meaning().to_owned())).to_vec());
    rest.to_writer(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(words: &[&str]) -> String {
        let (program, mut bytes) = (program(), Vec::new());
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        write(find(&program, &words).unwrap(), &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_manual_has_a_page_for_each_command() {
        let program = program();
        insta::assert_snapshot!("pages", all(&program).into_iter().map(file_name).collect::<Vec<_>>().join("\n"));
        insta::assert_snapshot!("wait", page(&["wait"]));
        assert!(page(&[]).contains("NO_MOTION") && page(&["node", "drain"]).contains("bitacora\\-node\\-drain"));
        assert!(find(&program, &["run-parser".to_owned()]).is_err(), "that is nobody's to call");
    }
}
