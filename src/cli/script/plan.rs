//! A script as it is written, made into commands: every line is read before the first one is run.

use std::ffi::OsString;

use clap::ValueEnum;

use crate::tui::{
    actions::{self, SpelledError},
    words::{self, Value, WordsError},
};

/// What sets [`OnError`] from a line on.
const DIRECTIVE: &str = "on-error";

/// What becomes of the rest when a command fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnError {
    /// The rest is not run
    Stop,
    /// The next one is run all the same
    Continue,
}

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// From 1.
    pub(super) line: usize,
    /// As it is written: what a variable stood for may be nobody else's business.
    pub(super) text: String,
    pub(super) words: Vec<String>,
    /// What the program is started with.
    pub(super) arguments: Vec<OsString>,
    pub(super) on_error: OnError,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error(transparent)]
    Words(#[from] WordsError),
    #[error("{DIRECTIVE} is followed by stop or continue, and by nothing else")]
    Directive,
    #[error("a line is a command, and this is none")]
    NoCommand,
    #[error("a script runs no script")]
    Script,
    #[error("the flags of the dashboard are for no command")]
    Look,
    #[error("this command needs the disk of the master itself, and --connect asks one elsewhere")]
    Afar,
    #[error(transparent)]
    Spelled(#[from] SpelledError),
    /// In the words of the one grammar that there is.
    #[error("{0}")]
    Grammar(String),
}

/// Something that is wrong with a line.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) line: usize,
    pub(super) error: LineError,
}

/// The commands of a script, or everything that is wrong with it. `arguments` checks the words of one, and says what the program is started with.
pub(super) fn read(
    script: &str,
    mut on_error: OnError,
    value: Value,
    commands: &[String],
    arguments: impl Fn(&[String]) -> Result<Vec<OsString>, LineError>,
) -> Result<Vec<Step>, Vec<Mistake>> {
    let (mut steps, mut mistakes) = (Vec::new(), Vec::new());
    for (line, text) in (1..).zip(script.lines()) {
        let read = words::split_script(text, value).map_err(LineError::from).and_then(|words| match words.first().map(String::as_str) {
            None => Ok(None),
            Some(DIRECTIVE) => directive(&words).map(|directed| {
                on_error = directed;
                None
            }),
            Some(_) => spelled(words, commands)
                .and_then(|words| Ok((arguments(&words)?, words)))
                .map(|(arguments, words)| Some(Step { line, text: text.trim().to_owned(), words, arguments, on_error })),
        });
        match read {
            Ok(step) => steps.extend(step),
            Err(error) => mistakes.push(Mistake { line, error }),
        }
    }
    if mistakes.is_empty() { Ok(steps) } else { Err(mistakes) }
}

/// The name of an action with what it is about is the command line that its key runs; a command of the same name is that command.
fn spelled(words: Vec<String>, commands: &[String]) -> Result<Vec<String>, LineError> {
    Ok(actions::spelled(&words, commands).transpose()?.unwrap_or(words))
}

fn directive(words: &[String]) -> Result<OnError, LineError> {
    match words {
        [_, what] => OnError::from_str(what, false).map_err(|_| LineError::Directive),
        _ => Err(LineError::Directive),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Vec<String> {
        ["node", "analyze", "job", "wrong"].map(str::to_owned).into()
    }

    fn of(script: &str) -> Result<Vec<(usize, String, OnError)>, Vec<usize>> {
        let value = |name: &str| (name == "NODE").then(|| "an anvil".to_owned());
        let arguments = |words: &[String]| if words[0] == "wrong" { Err(LineError::NoCommand) } else { Ok(words.iter().map(OsString::from).collect()) };
        let steps =
            read(script, OnError::Stop, &value, &commands(), arguments).map_err(|mistakes| mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>())?;
        Ok(steps.into_iter().map(|step| (step.line, step.words.join("|"), step.on_error)).collect())
    }

    #[test]
    fn a_line_is_a_command() {
        assert_eq!(of("drain anvil\nanalyze src").unwrap(), [(1, "node|drain|anvil|--detach".into(), OnError::Stop), (2, "analyze|src".into(), OnError::Stop)]);
        let script = "# first\n\nnode show ${NODE} # its name\n  on-error continue\njob ls\non-error stop\nnode ls";
        assert_eq!(
            of(script).unwrap(),
            [(3, "node|show|an anvil".into(), OnError::Stop), (5, "job|ls".into(), OnError::Continue), (7, "node|ls".into(), OnError::Stop)]
        );
    }

    #[test]
    fn everything_that_is_wrong_is_found_at_once() {
        assert_eq!(of("quit\nraise j1.1\nnode ls"), Err(vec![1, 2]));
        assert_eq!(of("node ls\nwrong\nnode show ${NONE}\nnode 'ls\non-error\non-error perhaps\non-error stop stop\njob ls"), Err(vec![2, 3, 4, 5, 6, 7]));
    }

    #[test]
    fn what_a_variable_stands_for_is_not_kept_in_the_text() {
        let steps =
            read("node show ${KEY}", OnError::Stop, &|_| Some("secret".into()), &commands(), |words| Ok(words.iter().map(OsString::from).collect())).unwrap();
        assert_eq!((steps[0].text.as_str(), steps[0].words[2].as_str()), ("node show ${KEY}", "secret"));
    }
}
