//! Through the one door: keys in, actions out.

use bitacora_core::{fleet::JobStatus, time::Span};

use super::*;
use crate::tui::{
    actions::{ACTIONS, Does},
    keymap,
    samples::{self, NOW, fleet, hear, person},
    state::Feed,
};

/// Presses keys; answers with what was to be done.
fn press(state: &mut State, keys: impl IntoIterator<Item = Key>) -> Vec<Action> {
    keys.into_iter().filter_map(|key| keymap::meaning(state, key).and_then(|cmd| update(state, cmd))).collect()
}

fn typed(text: &str) -> Vec<Key> {
    text.chars().map(|letter| if letter == '\n' { Key::Enter } else { Key::Char(letter) }).collect()
}

fn lines(actions: &[Action]) -> Vec<String> {
    let line = |action: &Action| match action {
        Action::Run { words, .. } => words::join(words),
        other => format!("{other:?}"),
    };
    actions.iter().map(line).collect()
}

fn ran(state: &mut State, number: u32, code: i32, text: &str) {
    assert_eq!(update(state, Cmd::Ran { number, outcome: Outcome { code: Some(code), text: text.into() } }), None);
}

#[test]
fn keys_run_the_commands_that_a_shell_would() {
    for (keys, expected) in [
        ("c", vec!["node cordon anvil"]),
        ("jo", vec!["node uncordon bellows"]),
        ("o", vec![]),
        ("dy", vec!["node drain anvil --detach"]),
        ("d\n", vec![]),
        ("Sanvil\n", vec!["node shutdown anvil --yes"]),
        ("Sbellows\n", vec![]),
        ("Ranvil\n", vec!["node rm anvil --yes"]),
        ("2p", vec!["job pause j1.9"]),
        ("2xy", vec!["job cancel j1.9"]),
        ("2xn", vec![]),
        ("2x\n", vec![]),
        ("2+", vec!["job priority j1.9 high"]),
        ("2-", vec!["job priority j1.9 low"]),
        ("2t", vec![]),
        ("2jt", vec!["job retry j1.8"]),
        ("2Gw", vec!["job explain j1.7"]),
        ("3a", vec!["analyze -- /src/linux"]),
        (":job ls -o json\n", vec!["job ls -o json"]),
        (":cordon\n", vec!["node cordon anvil"]),
        (":a 'b\n", vec![]),
        ("q", vec!["Quit"]),
        ("?q", vec!["Quit"]),
    ] {
        let mut state = person(80, 24);
        assert_eq!(lines(&press(&mut state, typed(keys))), expected, "{keys:?}");
    }
}

#[test]
fn what_was_done_can_be_taken_back_for_ten_seconds() {
    let mut state = person(80, 24);
    press(&mut state, typed("c"));
    ran(&mut state, 1, 0, "");
    assert_eq!(state.flash.as_ref().map(|flash| flash.text.as_str()), Some("anvil cordoned · u: node uncordon anvil"));
    assert_eq!(lines(&press(&mut state, typed("u"))), ["node uncordon anvil"]);
    press(&mut state, typed("c"));
    ran(&mut state, 3, 0, "");
    state.now = NOW + Span::from_secs(10);
    update(&mut state, Cmd::Woken);
    assert_eq!(state.flash, None);
    assert_eq!(press(&mut state, typed("u")), []);
}

#[test]
fn a_command_that_fails_says_why_and_offers_nothing() {
    let mut state = person(80, 24);
    press(&mut state, typed("c"));
    ran(&mut state, 1, 5, "no node is called anvil");
    let flash = state.flash.clone().expect("it is said");
    assert_eq!((flash.text.as_str(), flash.is_trouble, flash.undo), ("node cordon anvil: no node is called anvil", true, None));
}

#[test]
fn the_output_of_a_line_is_shown_to_who_does_nothing_else() {
    let mut state = person(80, 24);
    press(&mut state, typed(":job ls\n"));
    ran(&mut state, 1, 0, "a\nb\n");
    assert_eq!(state.mode, Mode::Reading(1));
    press(&mut state, [Key::Esc]);
    press(&mut state, typed(":job ls\n/x"));
    ran(&mut state, 2, 0, "a\nb\n");
    assert!(matches!(state.mode, Mode::Filter(_)), "nobody is torn from what they type");
}

#[test]
fn the_selection_stays_on_its_entry_when_others_come_and_go() {
    let mut state = person(80, 24);
    press(&mut state, typed("j"));
    let mut changed = fleet();
    changed.nodes.insert(0, samples::node(9, "new", "healthy", "active"));
    hear(&mut state, changed.clone());
    assert_eq!(state.selected_node().map(|node| node.name.as_str()), Some("bellows"));
    changed.nodes.retain(|node| node.name != "bellows");
    hear(&mut state, changed);
    assert_eq!(state.selected_node().map(|node| node.name.as_str()), Some("crucible"), "its neighbour, when it is gone");
}

#[test]
fn a_question_is_about_what_was_selected_when_it_was_asked() {
    let mut state = person(80, 24);
    press(&mut state, typed("d"));
    let mut changed = fleet();
    changed.nodes.remove(0);
    hear(&mut state, changed);
    assert_eq!(lines(&press(&mut state, typed("y"))), ["node drain anvil --detach"]);
}

#[test]
fn filters_narrow_the_list_and_esc_ends_them() {
    let mut state = person(80, 24);
    press(&mut state, typed("/!healthy\n"));
    assert_eq!(state.shown().len(), 2, "degraded and offline");
    assert_eq!(state.selected_node().map(|node| node.name.as_str()), Some("bellows"));
    press(&mut state, [Key::Esc]);
    assert_eq!(state.shown().len(), 3);
}

#[test]
fn a_name_that_could_be_taken_for_something_else_is_not_put_on_a_command_line() {
    for name in ["--yes", "two words", "bellows", "n1.2"] {
        let mut strange = fleet();
        strange.nodes[0].name = name.into();
        let mut state = person(80, 24);
        hear(&mut state, strange);
        assert_eq!(lines(&press(&mut state, typed("c"))), ["node cordon n1.1"], "{name}");
    }
}

#[test]
fn nothing_new_makes_no_frame() {
    let mut quiet = fleet();
    quiet.nodes.iter_mut().for_each(|node| node.sparks = 0);
    let mut state = person(80, 24);
    hear(&mut state, quiet.clone());
    state.dirty = false;
    quiet.at += Span::from_secs(1);
    hear(&mut state, quiet.clone());
    assert!(!state.dirty);
    quiet.nodes[0].cpu_permille = 10;
    hear(&mut state, quiet);
    assert!(state.dirty);
}

#[test]
fn a_master_that_ends_leaves_what_was_seen_and_its_age() {
    let mut state = person(80, 24);
    let gone = || Cmd::Heard(Box::new(Report { fleet: Heard::NoMaster, node: None, reasons: None }));
    update(&mut state, gone());
    state.now = NOW + Span::from_secs(5);
    update(&mut state, gone());
    assert_eq!(state.feed, Feed::Lost { since: NOW, why: "the master has ended".into() });
    assert_eq!(state.fleet.nodes.len(), 3);
    hear(&mut state, fleet());
    assert_eq!(state.feed, Feed::Live);
}

#[test]
fn pasted_text_is_never_a_key() {
    let mut state = person(80, 24);
    assert_eq!(update(&mut state, Cmd::Paste("dyq\n".into())), None);
    assert_eq!(state.mode, Mode::Browse);
    press(&mut state, typed(":"));
    update(&mut state, Cmd::Paste("job ls\n".into()));
    assert_eq!(lines(&press(&mut state, [Key::Enter])), ["job ls"]);
}

/// Numbers that look random and are the same each time.
fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |sides| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % sides
    }
}

#[test]
fn no_sequence_of_what_can_happen_loses_the_place_or_runs_what_was_not_asked() {
    let keys: Vec<Key> = ACTIONS.iter().flat_map(|row| row.keys).copied().chain(typed("yn \nanvil:q")).chain([Key::Delete]).collect();
    for seed in 0..200 {
        let (mut roll, mut state) = (dice(seed), person(80, 24));
        for _ in 0..300 {
            match roll(12) {
                0 => {
                    let mut changed = fleet();
                    changed.nodes.truncate(roll(4));
                    changed.jobs.truncate(roll(4));
                    changed.jobs.iter_mut().for_each(|job| job.status = [JobStatus::Running, JobStatus::Paused, JobStatus::Failed][roll(3)]);
                    hear(&mut state, changed);
                }
                1 => drop(update(&mut state, Cmd::Resized(Size::new(1 + roll(200) as u16, 1 + roll(60) as u16)))),
                2 => ran(&mut state, 1 + roll(20) as u32, roll(2) as i32, "one\ntwo"),
                3 => {
                    state.now += Span::from_secs(roll(20) as u64);
                    update(&mut state, Cmd::Woken);
                }
                _ => {
                    let before = state.mode.clone();
                    let actions = press(&mut state, [keys[roll(keys.len())]]);
                    let is_final = |line: &String| line.ends_with("--yes") && !matches!(before, Mode::Confirm(_) | Mode::Line(_));
                    assert!(!lines(&actions).iter().any(is_final), "seed {seed}: {before:?} {actions:?}");
                }
            }
            let (shown, list) = (state.shown(), state.list());
            let selected = shown.get(list.at).map(|place| state.key_of(*place));
            assert_eq!(list.selected, selected, "seed {seed}");
            assert!(list.top <= list.at, "seed {seed}");
            let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, state.size.width, state.size.height));
            crate::tui::screens::draw(&state, crate::tui::theme::Theme { colours: true, signs: crate::tui::theme::UNICODE }, &mut buffer);
        }
    }
}

#[test]
fn every_command_of_the_table_names_what_it_is_about() {
    for row in ACTIONS {
        if let Does::Command(command) = &row.does {
            let mut state = person(80, 24);
            state.screen = Screen::ALL.into_iter().find(|screen| screen.scope() == row.scope).expect("a command has a screen");
            update(&mut state, Cmd::Woken);
            let words = crate::tui::actions::words(command.line, &state.subject()).expect("the parts are there");
            assert!(words.iter().all(|word| !word.contains('{')), "{words:?}");
        }
    }
}
