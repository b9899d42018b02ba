//! Through the one door: keys in, actions out.

use bitacora_core::{fleet::JobStatus, time::Span};

use super::*;
use crate::control::{history::History, watch::Change};
use crate::tui::{
    actions::{self, ACTIONS, Does},
    keymap,
    samples::{self, NOW, answer, fleet, hear, person},
    state::{Asks, Feed},
    words,
};

/// Presses keys; answers with what was to be done.
fn press(state: &mut State, keys: impl IntoIterator<Item = Key>) -> Vec<Action> {
    let mut actions = Vec::new();
    for key in keys {
        actions.extend(keymap::meaning(state, key).and_then(|cmd| update(state, cmd)));
        answer(state);
    }
    actions
}

fn typed(text: &str) -> Vec<Key> {
    let key = |letter| match letter {
        '\n' => Key::Enter,
        '\t' => Key::Tab,
        '\u{1b}' => Key::Esc,
        letter => Key::Char(letter),
    };
    text.chars().map(key).collect()
}

fn lines(actions: &[Action]) -> Vec<String> {
    let lines = |action: &Action| match action {
        Action::Run(errands) => errands.iter().map(|errand| words::join(&errand.words)).collect(),
        other => vec![format!("{other:?}")],
    };
    actions.iter().flat_map(lines).collect()
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
        // What is named is done as by its key, wherever one is.
        (":uncordon bellows\n", vec!["node uncordon bellows"]),
        (":raise j1.9\n", vec!["job priority j1.9 high"]),
        (":label anvil a=b c-\n", vec!["node label anvil a=b c-"]),
        (":drain anvil\n", vec![]),
        (":drain anvil\ny", vec!["node drain anvil --detach"]),
        (":cordon nobody\n", vec!["node cordon nobody"]),
        (":drain anvil --deadline 5m\n", vec!["node drain anvil --detach --deadline 5m"]),
        (":cordon anvil crucible\n", vec!["node cordon anvil crucible"]),
        (":play now\n", vec![]),
        (":help node\n", vec!["help node"]),
        (":a 'b\n", vec![]),
        ("Lzone=us 'rack=a b'\n", vec!["node label anvil zone=us 'rack=a b'"]),
        ("L'\n", vec![]),
        ("xmake 'a b'\n", vec!["spark run --detach --nodes n1.1 -- make 'a b'"]),
        ("vvd", vec![]),
        ("vvvc", vec!["node cordon anvil", "node cordon crucible"]),
        ("Vdy", vec!["node drain anvil --detach", "node drain crucible --detach"]),
        ("VSanvil\n", vec![]),
        ("VS3\n", vec!["node shutdown anvil --yes", "node shutdown bellows --yes", "node shutdown crucible --yes"]),
        ("2sxy", vec!["spark cancel j1.9/3"]),
        ("2sGx", vec![]),
        ("2so", vec![]),
        ("3n/src/other\n", vec!["analyze -- /src/other"]),
        ("3Aanvil zone=eu\n", vec!["project assign p1.4 anvil zone=eu"]),
        ("3A\n", vec!["project assign p1.4"]),
        ("3Ekernel\n", vec!["project rename p1.4 kernel"]),
        ("3Rlinux\n", vec!["project rm p1.4 --yes"]),
        ("3ssched\n:job ls\n", vec!["job ls"]),
        ("3ssched\ny", vec!["Copy(\"kernel/sched/core.c:6321\")"]),
        ("4p1234-5678\n", vec!["node pair k4b1d2"]),
        ("4jp", vec![]),
        ("6c", vec!["audit verify"]),
        ("Pdrain\ny", vec!["node drain anvil --detach"]),
        ("P\t\u{1b}", vec![]),
        ("y", vec!["Copy(\"anvil\")"]),
        ("q", vec!["Quit"]),
        // It closes what stands over the rest.
        ("?q", vec![]),
        ("?qq", vec!["Quit"]),
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
    // What a command began is known by what it said.
    press(&mut state, typed("xmake\n"));
    ran(&mut state, 4, 0, "j1.12\n");
    assert_eq!(lines(&press(&mut state, typed("u"))), ["job cancel j1.12"]);
}

#[test]
fn the_machine_of_the_master_changes_what_it_does() {
    let mut state = person(80, 24);
    state.fleet.nodes[0].role = "hybrid".into();
    assert_eq!(lines(&press(&mut state, typed("M"))), ["node role anvil master"]);
    ran(&mut state, 1, 0, "");
    assert_eq!(state.flash.as_ref().map(|flash| flash.text.as_str()), Some("anvil only commands now · u: node role anvil hybrid"));
    assert_eq!(press(&mut state, typed("jM")), [], "a worker has no other role");
    assert_eq!(lines(&press(&mut state, typed("W"))), ["node role hybrid"]);
    ran(&mut state, 2, 0, "");
    assert_eq!(state.flash.as_ref().map(|flash| flash.text.as_str()), Some("the master is to run work too · u: node role master"));
}

#[test]
fn what_a_command_writes_is_followed_until_somebody_looks_at_an_earlier_part() {
    let mut state = person(80, 24);
    let say = |state: &mut State, line: u32| drop(update(state, Cmd::Said { number: 1, text: format!("line {line}"), dropped: 0 }));
    assert_eq!(lines(&press(&mut state, typed(":spark logs j1.9/0 --follow\n"))), ["spark logs j1.9/0 --follow"]);
    assert_eq!(state.mode, Mode::Reading(1), "it is read while it runs");
    (0..100).for_each(|line| say(&mut state, line));
    let at_end = state.scroll;
    assert!(at_end > 50 && state.follows);
    press(&mut state, [Key::Up]);
    say(&mut state, 100);
    assert_eq!((state.scroll, state.follows), (at_end - 1, false), "nobody is torn from what they read");
    press(&mut state, [Key::End]);
    (101..105).for_each(|line| say(&mut state, line));
    assert_eq!((state.scroll, state.follows), (at_end + 5, true));
    state.dirty = false;
    assert_eq!(lines(&press(&mut state, typed("h"))), ["Stop { number: 1 }"], "nobody reads it any more");
    state.dirty = false;
    say(&mut state, 200);
    assert!(!state.dirty, "what nobody looks at is not drawn");
    ran(&mut state, 1, 143, "");
    assert_eq!((&state.mode, state.flash.is_none()), (&Mode::Browse, true));
}

#[test]
fn a_command_that_fails_says_why_and_offers_nothing() {
    let mut state = person(80, 24);
    press(&mut state, typed("c"));
    ran(&mut state, 1, 5, "no node is called anvil");
    let flash = state.flash.clone().expect("it is said");
    assert_eq!((flash.text.as_str(), flash.is_trouble, flash.undo), ("no node is called anvil (node cordon anvil)", true, Vec::new()));
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
    assert_eq!(state.shown.len(), 2, "degraded and offline");
    assert_eq!(state.selected_node().map(|node| node.name.as_str()), Some("bellows"));
    press(&mut state, [Key::Esc]);
    assert_eq!(state.shown.len(), 3);
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
fn what_a_node_drained_by_is_what_takes_an_uncordon_back() {
    let mut state = person(80, 24);
    press(&mut state, typed("jo"));
    ran(&mut state, 1, 0, "");
    // Of the 300 s that it had, 20 are gone on the master's clock.
    assert_eq!(lines(&press(&mut state, typed("u"))), ["node drain bellows --deadline 280s --detach"]);
}

#[test]
fn labels_and_assignments_are_taken_back_to_what_they_were() {
    for (keys, back) in [
        ("Lzone=us rack=3\n", "node label anvil zone- rack=7"),
        ("Lrack-\n", "node label anvil rack=7"),
        ("3Abellows\n", "project assign p1.4 anvil"),
        ("3A\n", "project assign p1.4 anvil"),
    ] {
        let mut state = person(80, 24);
        // The zone is the node's own word.
        state.fleet.nodes[0].given_labels = [("rack".to_owned(), "7".to_owned())].into();
        press(&mut state, typed(keys));
        ran(&mut state, 1, 0, "");
        assert_eq!(lines(&press(&mut state, typed("u"))), [back], "{keys:?}");
    }
}

#[test]
fn what_was_done_to_several_is_said_and_taken_back_at_once() {
    let mut state = person(80, 24);
    press(&mut state, typed("vvvc"));
    ran(&mut state, 1, 0, "");
    assert_eq!(state.flash, None, "one is still at it");
    ran(&mut state, 2, 0, "");
    assert_eq!(state.flash.as_ref().map(|flash| flash.text.as_str()), Some("2 cordoned · u takes back 2"));
    assert_eq!(lines(&press(&mut state, typed("u"))), ["node uncordon anvil", "node uncordon crucible"]);
    press(&mut state, typed("gvjvc"));
    ran(&mut state, 5, 0, "");
    ran(&mut state, 6, 5, "no node is called crucible");
    assert!(state.flash.as_ref().is_some_and(|flash| flash.is_trouble && flash.undo.len() == 1), "{:?}", state.flash);
}

#[test]
fn a_code_is_told_to_nobody_but_the_command() {
    let mut state = person(80, 24);
    let actions = press(&mut state, typed("4p1234-5678\n"));
    assert!(!format!("{actions:?}").contains("1234"));
    let Some(Action::Run(errands)) = actions.first() else { panic!("it is run") };
    assert_eq!(errands[0].input, Some(Secret("1234-5678\n".into())));
    assert_eq!(state.log.entries()[0].line, "node pair k4b1d2");
}

#[test]
fn a_read_only_dashboard_changes_nothing() {
    let changing: Vec<Key> = ACTIONS.iter().filter(|row| row.changes()).flat_map(|row| row.keys).copied().collect();
    for tab in "1234567".chars() {
        let mut state = person(80, 24);
        state.options.read_only = true;
        press(&mut state, [Key::Char(tab)]);
        for key in &changing {
            let actions = press(&mut state, [*key]);
            let run = actions.iter().flat_map(|action| if let Action::Run(errands) = action { errands.clone() } else { Vec::new() });
            assert!(run.into_iter().all(|errand| actions::only_reads(&errand.words)), "{key:?}");
            press(&mut state, [Key::Esc]);
        }
        assert_eq!(press(&mut state, typed(":node rm anvil --yes\n")), []);
        assert_eq!(lines(&press(&mut state, typed(":node ls\n"))), ["node ls"]);
    }
}

#[test]
fn to_nodes_that_are_read_only_nothing_is_done() {
    let mut state = person(80, 24);
    state.options.read_only_nodes = "anvil".parse().unwrap();
    let refused = |state: &State| state.flash.as_ref().is_some_and(|flash| flash.is_trouble && flash.text.contains("anvil is read-only here"));
    assert_eq!(state.selected_node().map(|node| node.name.as_str()), Some("anvil"));
    for line in [
        "c",
        ":node rm anvil --yes\n",
        ":node drain --wait anvil\n",
        ":config push anvil some.toml\n",
        ":spark run --nodes anvil -- true\n",
        ":analyze src --nodes=anvil\n",
        ":project assign linux anvil\n",
        "d",
    ] {
        state.flash = None;
        assert_eq!(press(&mut state, typed(line)), [], "{line}");
        assert!(refused(&state) && state.mode == Mode::Browse, "{line}: {:?}", state.flash);
    }
    for line in [":node shutdown --all --yes --reason x\n", ":--color never node rm anvil --yes\n", ":script some.script\n"] {
        state.flash = None;
        assert_eq!(press(&mut state, typed(line)), [], "{line}");
        assert!(state.flash.as_ref().is_some_and(|flash| flash.text.contains("cannot be told")), "{line}: {:?}", state.flash);
    }
    for line in ["node show anvil", "node label another zone=anvil", "spark run -- echo --nodes anvil"] {
        assert_eq!(lines(&press(&mut state, typed(&format!(":{line}\n")))), [line]);
        press(&mut state, [Key::Esc]);
    }
    state.options.read_only_nodes = "another".parse().unwrap();
    press(&mut state, [Key::Esc]);
    assert_eq!(lines(&press(&mut state, typed("c"))), ["node cordon anvil"], "to others it is");
}

#[test]
fn the_end_of_the_timeline_is_followed_until_it_is_left() {
    let mut state = person(80, 24);
    press(&mut state, typed("5"));
    assert_eq!(state.selected_event().map(|event| event.number), Some(5));
    let mut more = samples::news(fleet());
    more.events.push(crate::timeline::Happening { number: 6, at: NOW, kind: "tick".into(), subject: String::new(), text: String::new() });
    update(&mut state, Cmd::Heard(Heard::News(Box::new(more.clone()))));
    assert_eq!(state.selected_event().map(|event| event.number), Some(6));
    press(&mut state, typed("kk"));
    more.events.push(crate::timeline::Happening { number: 7, at: NOW, kind: "tick".into(), subject: String::new(), text: String::new() });
    update(&mut state, Cmd::Heard(Heard::News(Box::new(more))));
    assert_eq!(state.selected_event().map(|event| event.number), Some(4), "who reads is not moved");
}

#[test]
fn a_timeline_plays_to_its_end() {
    let mut state = person(80, 24);
    press(&mut state, typed("5gp"));
    let mut seen = Vec::new();
    while let Some(due) = state.pace.plays_at {
        state.now = due;
        update(&mut state, Cmd::Woken);
        seen.push(state.selected_event().map(|event| event.number).unwrap());
    }
    assert_eq!(seen, [2, 3, 4, 5, 5]);
    press(&mut state, typed("p"));
    assert!(state.pace.plays_at.is_some(), "from the beginning");
    press(&mut state, typed("j"));
    assert_eq!(state.pace.plays_at, None, "whoever moves stops it");
    assert!(!state.opened, "the moment is seen beside the list");
}

#[test]
fn on_a_phone_the_moments_are_played_and_walked_through_instead_of_the_list() {
    let mut state = person(45, 20);
    press(&mut state, typed("5gp"));
    assert!(state.opened);
    state.now = state.pace.plays_at.unwrap();
    update(&mut state, Cmd::Woken);
    let at = |state: &State| (state.selected_event().map(|event| event.number).unwrap(), state.opened, state.pace.plays_at);
    assert!(matches!(at(&state), (2, true, Some(_))));
    press(&mut state, typed("nn"));
    assert_eq!(at(&state), (4, true, None), "whoever moves stops it");
    press(&mut state, typed("N"));
    assert_eq!(at(&state), (3, true, None));
}

#[test]
fn a_dashboard_that_opens_has_a_past_to_show() {
    let mut state = State::new(Size::new(80, 24), NOW);
    let (mut history, mut news) = (History::default(), samples::news(fleet()));
    (0..30).for_each(|second| history.push(news.at.0 / 1_000_000 - 30 + second, second as u16));
    let node = state_of(&news);
    news.histories = vec![(node.parse().unwrap(), history)];
    update(&mut state, Cmd::Heard(Heard::News(Box::new(news))));
    let shown: Vec<u16> = state.history[&node].newest(4, NOW.0 / 1_000_000).collect();
    assert_eq!(shown, [27, 28, 29, 820], "and goes on with what is");
}

fn state_of(news: &News) -> String {
    let first = news.changes.iter().find_map(|change| if let Change::Node(node) = change { Some(node.id.clone()) } else { None });
    first.expect("the sample has nodes")
}

#[test]
fn nothing_new_makes_no_frame_and_no_deadline() {
    let mut state = person(80, 24);
    state.now = NOW + Span::from_secs(100);
    update(&mut state, Cmd::Woken);
    state.dirty = false;
    let quiet = News { at: NOW, ..Default::default() };
    update(&mut state, Cmd::Heard(Heard::News(Box::new(quiet))));
    assert!(!state.dirty);
    assert_eq!(state.next_deadline(), None, "an idle dashboard sleeps");
    let mut moved = samples::news(fleet());
    moved.from_nothing = false;
    update(&mut state, Cmd::Heard(Heard::News(Box::new(moved))));
    assert!(state.dirty && state.next_deadline().is_some(), "a chart moves");
}

#[test]
fn a_master_that_ends_leaves_what_was_seen_and_its_age() {
    let mut state = person(80, 24);
    update(&mut state, Cmd::Heard(Heard::NoMaster));
    state.dirty = false;
    state.now = NOW + Span::from_secs(5);
    update(&mut state, Cmd::Woken);
    assert!(state.dirty, "it grows older");
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
    let keys: Vec<Key> = ACTIONS.iter().flat_map(|row| row.keys).copied().chain(typed("yn \nanvil:q3")).chain([Key::Delete]).collect();
    for seed in 0..200 {
        let (mut roll, mut state) = (dice(seed), person(80, 24));
        for _ in 0..300 {
            match roll(18) {
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
                4 => drop(update(&mut state, Cmd::Heard([Heard::NoMaster, Heard::Failed("it went away".into())][roll(2)].clone()))),
                5 => drop(update(&mut state, Cmd::Said { number: 1 + roll(20) as u32, text: "a line\n".repeat(roll(4)), dropped: roll(2) as u64 })),
                6 => drop(update(&mut state, Cmd::Wheeled { up: roll(2) == 0 })),
                7 => drop(update(&mut state, Cmd::Paste(["anvil", "y", "job ls\n", "'"][roll(4)].into()))),
                8 => {
                    let before = state.mode.clone();
                    let at = Position::new(roll(usize::from(state.size.width) + 2) as u16, roll(usize::from(state.size.height) + 2) as u16);
                    let action = update(&mut state, Cmd::Tapped(at));
                    answer(&mut state);
                    let is_final = |line: &String| line.ends_with("--yes") && !matches!(before, Mode::Confirm(_));
                    assert!(!lines(&action.into_iter().collect::<Vec<_>>()).iter().any(is_final), "seed {seed}: {before:?}");
                }
                _ => {
                    let before = state.mode.clone();
                    let actions = press(&mut state, [keys[roll(keys.len())]]);
                    let is_final = |line: &String| line.ends_with("--yes") && !matches!(before, Mode::Confirm(_) | Mode::Line(_) | Mode::Prompt(_));
                    assert!(!lines(&actions).iter().any(is_final), "seed {seed}: {before:?} {actions:?}");
                }
            }
            let (shown, list) = (state.passing(), state.list());
            let selected = shown.get(list.at).map(|place| state.key_of(*place));
            assert_eq!(list.selected, selected, "seed {seed}");
            let rows = usize::from(state.areas().list.height / state.tier.lines_per_entry(state.size)).max(1);
            assert!(list.top <= list.at && (list.at < list.top + rows || state.areas().list.is_empty()), "seed {seed}: {list:?} of {rows} rows");
            let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, state.size.width, state.size.height));
            screens::draw(&state, crate::tui::theme::Theme::PLAINEST, &mut buffer);
        }
    }
}

/// The registry is walked: whatever a key does to the fleet, its command line does, and the other way round.
#[test]
fn what_a_key_does_and_what_its_command_does_are_the_same() {
    for row in ACTIONS {
        let Does::Command(command) = &row.does else { continue };
        let screen = Screen::ALL.into_iter().find(|screen| screen.scope() == row.scope).expect("a command has a screen");
        let fitting = |state: &mut State| {
            let screens = if screen == screen.tab() { vec![screen] } else { vec![screen.tab(), screen] };
            for screen in screens {
                state.screen = screen;
                update(state, Cmd::Resized(state.size));
                answer(state);
            }
            for _ in 0..4 {
                if (command.fits)(&state.subject()) {
                    return true;
                }
                update(state, Cmd::Do(ActionId::Down));
            }
            false
        };
        let run = |keys: Vec<Key>| {
            let mut state = person(80, 24);
            if row.id == ActionId::Resume {
                let mut paused = fleet();
                paused.jobs[0].status = JobStatus::Paused;
                hear(&mut state, paused);
            }
            if row.id == ActionId::Retire {
                state.fleet.nodes[0].role = "hybrid".into();
            }
            let fits = fitting(&mut state) || matches!(row.id, ActionId::Output | ActionId::Follow);
            assert!(fits, "nothing in the sample fits {}", row.name);
            let name = state.subject().name();
            let mut actions = press(&mut state, keys);
            if let Mode::Prompt(_) = state.mode {
                actions.extend(press(&mut state, typed("a=b\n")));
            }
            if let Mode::Confirm(question) = &state.mode {
                let word = question.expected.clone().map_or("y".into(), |_| format!("{name}\n"));
                actions.extend(press(&mut state, typed(&word)));
            }
            lines(&actions)
        };
        let by_line = run(typed(&format!(":{}\n", row.name)));
        assert!(matches!(row.id, ActionId::Output | ActionId::Follow) || by_line.len() == 1, "{}: {by_line:?}", row.name);
        assert!(by_line.iter().all(|line| !line.contains('{')), "{by_line:?}");
        for key in row.keys {
            assert_eq!(run(vec![*key]), by_line, "{} and {}", key.name(), row.name);
        }
    }
}

#[test]
fn a_person_decides_what_is_asked_first() {
    let asked = |asks: Asks, keys: &str| {
        let mut state = person(80, 24);
        state.options.asks = asks;
        (lines(&press(&mut state, typed(keys))), matches!(state.mode, Mode::Confirm(_)))
    };
    let nothing = Vec::new();
    assert_eq!(asked(Asks::Disruptive, "c").0, ["node cordon anvil"]);
    assert_eq!(asked(Asks::Everything, "c"), (nothing.clone(), true));
    assert_eq!(asked(Asks::Everything, "cy").0, ["node cordon anvil"]);
    assert_eq!(asked(Asks::Disruptive, "d"), (nothing.clone(), true));
    assert_eq!(asked(Asks::Final, "d").0, ["node drain anvil --detach"]);
    assert_eq!(asked(Asks::Final, "R"), (nothing.clone(), true), "what cannot be taken back is never done unasked");
    let mut state = person(80, 24);
    state.options.unasked_max = 1;
    assert_eq!(lines(&press(&mut state, typed("Vc"))), nothing, "two at once");
    assert!(matches!(&state.mode, Mode::Confirm(question) if question.expected.as_deref() == Some("2")));
}

#[test]
fn a_key_that_was_taken_away_leaves_the_name() {
    let mut state = person(80, 24);
    state.options.keymap.bind(ActionId::Cordon, Vec::new());
    state.options.keymap.bind(ActionId::Help, vec![Key::Char('c')]);
    assert_eq!(lines(&press(&mut state, typed("c\u{1b}:cordon\n"))), ["node cordon anvil"]);
}
