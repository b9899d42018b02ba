//! The dashboard for who has it read aloud: no screen that is drawn over, but lines that stay, and command lines in the same words as in a shell.

use std::{
    ffi::OsString,
    io::{self, BufRead, Write},
    path::Path,
    process::Command,
};

use super::Context;
use crate::{
    control::{Answer, Request},
    exit::Exit,
    tui::{actions, guard, state::Options, words},
};

/// Reads command lines and runs each, until there are no more or the person leaves.
pub(super) fn run(context: &Context, program: &Path, arguments: &[OsString], options: &Options) -> anyhow::Result<Exit> {
    context.streams.note("type a command, help, or quit; events tells what has happened");
    let stdin = io::stdin();
    loop {
        if context.streams.stdout_is_terminal {
            print(b"bitacora> ");
        }
        let mut line = String::new();
        if stdin.lock().read_line(&mut line)? == 0 {
            return Ok(Exit::Ok);
        }
        let Some(words) = words::split(&line) else {
            context.streams.note("a quote is not ended");
            continue;
        };
        match words.first().map(String::as_str) {
            None => {}
            Some("quit" | "exit" | "q") => return Ok(Exit::Ok),
            Some(_) => {
                let words = match actions::spelled(&words, &options.commands).transpose() {
                    Ok(spelled) => spelled.unwrap_or(words),
                    Err(error) => {
                        context.streams.note(&error.to_string());
                        continue;
                    }
                };
                if let Some(refusal) = refusal(context, options, &words)? {
                    context.streams.note(&refusal);
                    continue;
                }
                let status = Command::new(program).args(arguments).args(&words).status()?;
                context.streams.note(&match status.code() {
                    Some(0) => "done".to_owned(),
                    Some(code) => format!("exit code {code}"),
                    None => "ended".to_owned(),
                });
            }
        }
    }
}

/// Why a line is not run from here, by the fleet as it is now.
fn refusal(context: &Context, options: &Options, words: &[String]) -> anyhow::Result<Option<String>> {
    if options.read_only_nodes.is_empty() || options.read_only || actions::only_reads(words) {
        return Ok(guard::refusal(options, words, []));
    }
    match context.ask(&Request::Nodes)? {
        Some(Answer::Nodes(nodes)) => Ok(guard::refusal(options, words, &nodes)),
        // Where nobody serves there is no node to be left alone.
        None => Ok(None),
        Some(_) => Ok(Some("the nodes that are to be left alone are not known now".to_owned())),
    }
}

/// A closed stdout is nobody reading.
fn print(text: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}
