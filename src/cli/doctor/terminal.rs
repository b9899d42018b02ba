//! The terminal: whether the dashboard can be shown on it, and how.

use std::{
    env,
    io::{IsTerminal, stdin, stdout},
};

use fleet_agent::doctor::Finding;
use ratatui::layout::Size;
use rustix::termios::tcgetwinsize;

use super::probe::{self, Abilities};
use crate::{
    cli::dashboard::{has_colours, is_utf8},
    tui::layout::Tier,
};

pub(super) fn examine() -> Vec<Finding> {
    let term = env::var("TERM").unwrap_or_default();
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return vec![Finding::weak(
            "terminal",
            "there is none on stdin and stdout".into(),
            "the dashboard needs one, commands do not: run this on the terminal that is to be looked at",
        )];
    }
    let abilities = probe::ask().unwrap_or_default();
    vec![kind(&term, abilities.answered), size(), colours(&term), letters(), mouse(&abilities), clipboard(&term, &abilities)]
}

fn kind(term: &str, answers: bool) -> Finding {
    const SUBJECT: &str = "terminal";
    match term {
        "" | "dumb" => {
            Finding::bad(SUBJECT, format!("TERM is {term:?}, and so there is no dashboard"), "set TERM as the terminal's manual says; xterm-256color fits most")
        }
        _ if !answers => Finding::weak(
            SUBJECT,
            format!("{term}; it does not answer when it is asked what it is"),
            "look whether something stands between it and this program that keeps answers back",
        ),
        _ => Finding::good(SUBJECT, term.to_owned()),
    }
}

fn size() -> Finding {
    const SUBJECT: &str = "size";
    let found = tcgetwinsize(stdout()).ok().map(|size| Size { width: size.ws_col, height: size.ws_row }).filter(|size| size.width > 0 && size.height > 0);
    let Some(size) = found else {
        return Finding::weak(SUBJECT, "the terminal does not know it; 80x24 is assumed".into(), "stty cols 80 rows 24, with the real figures");
    };
    let shows = |what: &str| format!("{}x{}: {what}", size.width, size.height);
    match Tier::of(size, None) {
        Tier::Sentence => Finding::weak(SUBJECT, shows("one sentence and the problems"), "from 36 columns and 8 rows on there is a list"),
        Tier::Phone => Finding::good(SUBJECT, shows("one thing at a time, in cards")),
        Tier::Drawer => Finding::good(SUBJECT, shows("a table, and below it what is selected")),
        Tier::Side => Finding::good(SUBJECT, shows("a table, and beside it what is selected")),
        Tier::Wide => Finding::good(SUBJECT, shows("a table, what is selected, and the events")),
    }
}

fn colours(term: &str) -> Finding {
    const SUBJECT: &str = "colours";
    let many = env::var("COLORTERM").is_ok_and(|value| value == "truecolor" || value == "24bit");
    match (has_colours(), many || term.contains("256color") || term.contains("direct")) {
        (false, _) => Finding::good(SUBJECT, "none, as NO_COLOR or --color asks; signs and words say the same".into()),
        (true, true) => Finding::good(SUBJECT, "256 or more".into()),
        (true, false) => Finding::weak(
            SUBJECT,
            "16, as TERM says".into(),
            "set TERM to one with 256color if the terminal has them; --theme high-contrast or mono does with less",
        ),
    }
}

fn letters() -> Finding {
    const SUBJECT: &str = "letters";
    if is_utf8() {
        Finding::good(SUBJECT, "UTF-8".into())
    } else {
        Finding::weak(SUBJECT, "ASCII alone, as LC_ALL, LC_CTYPE or LANG says".into(), "export LANG=C.UTF-8, or `bitacora config set signs unicode`")
    }
}

fn mouse(abilities: &Abilities) -> Finding {
    const SUBJECT: &str = "mouse";
    match abilities.mouse {
        Some(true) => Finding::good(SUBJECT, "it is reported, touch too".into()),
        Some(false) => Finding::weak(SUBJECT, "the terminal knows none".into(), "keys do everything; in tmux `set -g mouse on` helps"),
        None => Finding::good(SUBJECT, "the terminal does not say whether it knows one; keys do everything".into()),
    }
}

fn clipboard(term: &str, abilities: &Abilities) -> Finding {
    const SUBJECT: &str = "clipboard";
    const REMEDY: &str = "select with the mouse and shift instead; in tmux `set -g set-clipboard on` lets it through where the terminal outside takes it";
    let is_known_not_to = term == "linux" || env::var("TERM_PROGRAM").is_ok_and(|program| program == "Apple_Terminal");
    match abilities.clipboard {
        Some(_) => Finding::good(SUBJECT, "it takes what is copied (OSC 52)".into()),
        None if is_known_not_to => Finding::weak(SUBJECT, "this terminal takes nothing that is copied (OSC 52)".into(), REMEDY),
        None => Finding::good(SUBJECT, "what is copied is sent to it (OSC 52); it does not say whether it takes it".into()),
    }
}
