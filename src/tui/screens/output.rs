//! What a command wrote.

use unicode_width::UnicodeWidthStr;

use super::{Line, paint};
use crate::tui::{
    log::Tail,
    state::{Mode, State},
    theme::Tone,
};

pub(super) fn lines(state: &State, number: u32, width: usize) -> Vec<Line> {
    let Some(entry) = state.log.entry(number) else { return vec![paint::plain("it is forgotten: too many commands were run since", Tone::Dim)] };
    let mut lines = vec![vec![("bitacora ".to_owned(), Tone::Dim), (entry.line.clone(), Tone::Title)]];
    let written = |tail: &Tail| {
        let dropped = (tail.dropped > 0).then(|| paint::plain(format!("{} earlier lines are not kept", tail.dropped), Tone::Warning));
        let texts = tail.lines.iter().flat_map(|text| paint::wrapped(text, width));
        dropped.into_iter().chain(texts.map(|text| paint::plain(text, Tone::Text))).collect::<Vec<_>>()
    };
    let Some(outcome) = &entry.outcome else {
        lines.push(paint::plain("it runs; x in the log ends it", Tone::Accent));
        lines.extend(written(&entry.tail));
        return lines;
    };
    let ended = outcome.code.map_or_else(|| "ended".to_owned(), |code| format!("exit code {code}"));
    lines.push(paint::plain(ended, if outcome.went_well() { Tone::Good } else { Tone::Bad }));
    if entry.after.is_followed {
        lines.extend(written(&entry.tail));
        return lines;
    }
    for text in aligned(&outcome.text) {
        lines.extend(paint::wrapped(&text, width).into_iter().map(|text| paint::plain(text, Tone::Text)));
    }
    lines
}

/// Does a command write on that is read further up?
pub(super) fn is_left_behind(state: &State) -> bool {
    let Mode::Reading(number) = state.mode else { return false };
    !state.follows && state.log.entry(number).is_some_and(|entry| entry.outcome.is_none())
}

/// Tab-separated text in columns, as a terminal would have got it; other text as it is.
fn aligned(text: &str) -> Vec<String> {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let room = |column: usize| rows.iter().filter(|row| row.len() > 1).filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0);
    let rooms: Vec<usize> = (0..columns).map(room).collect();
    let padded = |row: &Vec<&str>| {
        let cells = row.iter().zip(&rooms).map(|(cell, room)| format!("{cell}{}  ", " ".repeat(room.saturating_sub(cell.width()))));
        if row.len() > 1 { cells.collect::<String>().trim_end().to_owned() } else { row.concat() }
    };
    rows.iter().map(padded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_become_columns() {
        assert_eq!(aligned("name\tat\nanvil\tx\nlong text that is no row"), ["name   at", "anvil  x", "long text that is no row"]);
        assert_eq!(aligned(""), Vec::<String>::new());
    }
}
