//! Everything that can be done here, found by a few letters of its name or of what it says.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};

use super::{
    actions::{ACTIONS, Row},
    state::State,
};

/// The rows that fit what was typed, the best first; in the order of the table where nothing was.
pub fn rows(state: &State, typed: &str) -> Vec<&'static Row> {
    let subject = state.subject();
    let fits = |row: &&'static Row| row.scope.reaches(state.screen.scope()) && row.fits(&subject) && !(state.options.read_only && row.changes());
    let pattern = Pattern::parse(typed, CaseMatching::Ignore, Normalization::Smart);
    let (mut matcher, mut letters) = (Matcher::new(Config::DEFAULT), Vec::new());
    let mut score = |row: &Row| pattern.score(Utf32Str::new(&format!("{} {} {}", row.name, row.hint, row.title), &mut letters), &mut matcher);
    let mut found: Vec<(u32, &'static Row)> = ACTIONS.iter().filter(fits).filter_map(|row| Some((score(row)?, row))).collect();
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    found.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::samples::person;

    #[test]
    fn letters_find_what_can_be_done_here() {
        let mut state = person(80, 24);
        let first = |state: &State, typed: &str| rows(state, typed).first().map(|row| row.name);
        assert_eq!(first(&state, ""), Some("cordon"));
        assert_eq!(first(&state, "drain"), Some("drain"));
        assert!(rows(&state, "").iter().all(|row| row.name != "uncordon"), "an active node is not uncordoned");
        state.options.read_only = true;
        assert!(rows(&state, "").iter().all(|row| row.name != "drain"));
    }
}
