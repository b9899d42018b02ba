//! What is drawn, as text and as styles. Each snapshot was read before it was kept.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect, Size},
    style::Color,
};

use super::*;
use crate::tui::{
    actions::ActionId,
    keymap::{self, Key},
    samples::{self, NOW, answer, hear, person},
    theme::{Palette, UNICODE},
    update::{Action, Cmd, Heard, update},
};

const DARK: Theme = Theme { palette: Palette::Dark, signs: UNICODE };
const PLAIN: Theme = Theme::PLAINEST;

fn drawn(state: &State, theme: Theme) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, state.size.width, state.size.height));
    draw(state, theme, &mut buffer);
    buffer
}

fn text(buffer: &Buffer) -> String {
    let row = |y: u16| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..buffer.area.height).map(row).collect::<Vec<_>>().join("\n")
}

/// Each run of cells that look alike and not like plain text.
fn styles(buffer: &Buffer) -> String {
    let mut lines = Vec::new();
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let style = buffer[(x, y)].style();
            let end = (x..buffer.area.width).find(|other| buffer[(*other, y)].style() != style).unwrap_or(buffer.area.width);
            let is_reset = |colour: Option<Color>| colour.is_none_or(|colour| colour == Color::Reset);
            if !(is_reset(style.fg) && is_reset(style.bg) && style.add_modifier.is_empty()) {
                let below = if is_reset(style.bg) { String::new() } else { format!(" on {:?}", style.bg.unwrap_or_default()) };
                lines.push(format!("{y}:{x}-{end} {:?}{below} {:?}", style.fg.unwrap_or_default(), style.add_modifier));
            }
            x = end;
        }
    }
    lines.join("\n")
}

fn press(state: &mut State, keys: &str) {
    for letter in keys.chars() {
        let key = if letter == '\n' { Key::Enter } else { Key::Char(letter) };
        if let Some(cmd) = keymap::meaning(state, key) {
            update(state, cmd);
        }
        answer(state);
    }
}

#[test]
fn the_screens_at_the_sizes_that_people_have() {
    for (width, height) in [(45, 10), (45, 20), (60, 20), (80, 24), (120, 40), (160, 48), (200, 60)] {
        for (name, keys) in
            [("fleet", ""), ("jobs", "2"), ("projects", "3"), ("nearby", "4"), ("events", "5"), ("audit", "6"), ("sparks", "2s"), ("symbols", "3ssched\n")]
        {
            let mut state = person(width, height);
            press(&mut state, keys);
            insta::assert_snapshot!(format!("{name}-{width}x{height}"), text(&drawn(&state, DARK)));
        }
    }
}

#[test]
fn the_rest_on_a_phone_and_on_a_terminal() {
    let all = [
        ("node", "\n"),
        ("job", "2\n"),
        ("project", "3\n"),
        ("definition", "3ssched\n\n"),
        ("gone", "3ssched\nj\n"),
        ("moment", "5gjj\n"),
        ("record", "6\n"),
        ("pair", "4p1234"),
        ("label", "Lzone=e"),
        ("drain", "d"),
        ("marked", "vv"),
        ("drain-marked", "Vd"),
        ("shutdown", "San"),
        ("help", "?"),
        ("palette", "Pdra"),
        ("line", ":node l"),
        ("filter", "/!heal"),
        ("refused", ":play now\n"),
        ("log", "3ssched\n7"),
        ("said", "3ssched\n7\n"),
    ];
    for (width, height) in [(45, 20), (80, 24)] {
        for (name, keys) in all {
            let mut state = person(width, height);
            state.options.commands = ["node", "node ls", "node label"].map(str::to_owned).into();
            press(&mut state, keys);
            insta::assert_snapshot!(format!("{name}-{width}x{height}"), text(&drawn(&state, DARK)));
        }
    }
}

#[test]
fn the_nodes_of_several_fleets_stand_side_by_side() {
    for (width, height) in [(45, 10), (45, 20), (80, 24), (120, 40), (160, 48)] {
        let mut state = person(width, height);
        press(&mut state, "8");
        (state.options.fleets, state.options.attached) = (vec!["home".into(), "work".into(), "attic".into()], Some("home".into()));
        press(&mut state, "j");
        insta::assert_snapshot!(format!("fleets-{width}x{height}"), text(&drawn(&state, DARK)));
        assert_eq!(update(&mut state, Cmd::Do(ActionId::Attach)), Some(Action::Attach(Some("work".into()))));
        // One of the fleet that is shown is among its nodes.
        press(&mut state, "ka");
        assert_eq!((state.screen, state.selected_node().map(|node| node.id.as_str())), (Screen::Fleet, Some("n1.1")));
    }
}

#[test]
fn with_no_room_there_is_a_sentence_and_what_is_wrong() {
    insta::assert_snapshot!("sentence-30x6", text(&drawn(&person(30, 6), DARK)));
}

#[test]
fn who_begins_is_told_what_to_do() {
    for (width, height) in [(45, 20), (80, 24)] {
        let mut state = State::new(Size::new(width, height), NOW);
        update(&mut state, Cmd::Heard(Heard::NoMaster));
        insta::assert_snapshot!(format!("no-master-{width}x{height}"), text(&drawn(&state, DARK)));
        hear(&mut state, crate::control::Snapshot { nodes: Vec::new(), ..samples::fleet() });
        insta::assert_snapshot!(format!("no-node-{width}x{height}"), text(&drawn(&state, DARK)));
        let alone =
            crate::control::Snapshot { nodes: samples::fleet().nodes[..1].to_vec(), jobs: Vec::new(), jobs_all: 0, projects: Vec::new(), ..samples::fleet() };
        hear(&mut state, alone);
        insta::assert_snapshot!(format!("no-work-{width}x{height}"), text(&drawn(&state, DARK)));
    }
}

#[test]
fn without_colours_and_signs_everything_is_still_said() {
    let state = person(80, 24);
    let (dark, plain) = (drawn(&state, DARK), drawn(&state, PLAIN));
    assert!(text(&plain).is_ascii());
    let coloured = |buffer: &Buffer| buffer.content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
    assert!(coloured(&dark) && !coloured(&plain));
    let reversed = plain.content().iter().any(|cell| cell.modifier.contains(ratatui::style::Modifier::REVERSED));
    assert!(reversed, "the selection is seen without colours");
}

#[test]
fn what_is_selected_is_seen_at_every_size() {
    let many: Vec<_> = (1..=90).map(|number| samples::node(number, &format!("n{number:02}"), "healthy", "active")).collect();
    let fleet = crate::control::Snapshot { nodes: many, ..samples::fleet() };
    // Every width, and every height: both together are the same again and take minutes.
    let sizes = (12..=240).flat_map(|width| [8, 9, 13, 14, 15, 20, 40, 70].map(|height| (width, height)));
    for (width, height) in sizes.chain([36, 45, 60, 80, 100, 160, 240].iter().flat_map(|width| (8..=70).map(move |height| (*width, height)))) {
        let mut state = person(width, height);
        hear(&mut state, fleet.clone());
        if state.tier == Tier::Sentence {
            continue;
        }
        for keys in ["G", "g", " "] {
            press(&mut state, keys);
            let name = state.selected_node().map(|node| node.name.clone()).unwrap();
            let row = text(&drawn(&state, PLAIN)).lines().any(|line| line.contains(&name) && line.starts_with('>'));
            assert!(row, "{width}x{height} {keys:?}: {name}\n{}", text(&drawn(&state, PLAIN)));
        }
    }
}

#[test]
fn every_size_is_drawn() {
    let screens = ["", "\n", "2", "2s\n", "3\n", "3ss\n\n", "4p", "5\n", "6", "7", "8\n", "?", "d", "Sx", ":abc", "/a", "Pa"];
    // Each size with one of them: all of them with all sizes takes minutes. Their number has nothing in common with that of the heights, so that each is
    // drawn at every height.
    assert_eq!(screens.len(), 17);
    let mut turn = screens.iter().cycle();
    for (width, height) in (1..=240).flat_map(|width| (1..=70).map(move |height| (width, height))) {
        let mut state = person(width, height);
        press(&mut state, turn.next().unwrap());
        drawn(&state, DARK);
    }
    let mut state = person(80, 24);
    update(&mut state, Cmd::Resized(Size::new(0, 0)));
    for keys in ["", "\n", "?", "d", "Sx", ":abc", "P"] {
        press(&mut state, keys);
        drawn(&state, DARK);
    }
}

/// Where a text stands on the screen.
fn place_of(buffer: &Buffer, wanted: &str) -> Position {
    let rows: Vec<String> = text(buffer).lines().map(str::to_owned).collect();
    let found = rows.iter().enumerate().find_map(|(y, row)| Some((y, row[..row.find(wanted)?].chars().count())));
    let (y, x) = found.unwrap_or_else(|| panic!("{wanted:?} is nowhere:\n{}", rows.join("\n")));
    Position::new(x as u16, y as u16)
}

fn tap(state: &mut State, wanted: &str) -> Option<Action> {
    let at = place_of(&drawn(state, DARK), wanted);
    let action = update(state, Cmd::Tapped(at));
    answer(state);
    action
}

#[test]
fn what_is_shown_can_be_touched() {
    for (width, height) in [(45, 20), (80, 24), (160, 48)] {
        let mut state = person(width, height);
        tap(&mut state, "bellows");
        assert_eq!(state.selected_node().map(|node| node.name.as_str()), Some("bellows"));
        tap(&mut state, "uncordon").expect("a hint does what it says");
        tap(&mut state, "anvil");
        tap(&mut state, "d drain");
        assert_eq!(tap(&mut state, "cancel"), None);
        tap(&mut state, "d drain");
        assert!(matches!(tap(&mut state, "y does it"), Some(Action::Run(_))));
        tap(&mut state, "anvil");
        assert!(state.opened, "the second tap opens");
    }
    // What has no place among the hints is touched where help tells of it, on the smallest screen too.
    for (width, height) in [(45, 10), (45, 20), (80, 24), (30, 8)] {
        let mut state = person(width, height);
        let tap_in_help = |state: &mut State, wanted: &str| {
            press(state, "?");
            while !text(&drawn(state, DARK)).contains(wanted) {
                press(state, "j");
            }
            tap(state, wanted);
        };
        tap_in_help(&mut state, " label ");
        assert!(matches!(state.mode, Mode::Prompt(_)), "{width}x{height}: {:?}", state.mode);
        update(&mut state, Cmd::Dismiss);
        tap_in_help(&mut state, " rm ");
        assert!(matches!(state.mode, Mode::Confirm(_)), "{width}x{height}: {:?}", state.mode);
        // What a finger cannot type it can leave, where anything is behind it.
        if height >= 20 {
            for keys in ["", "L", "Sx", ":no", "/a"] {
                press(&mut state, keys);
                assert_ne!(state.mode, Mode::Browse, "{keys}");
                assert_eq!(update(&mut state, Cmd::Tapped(Position::new(3, 1))), None);
                assert_eq!(state.mode, Mode::Browse, "{width}x{height} {keys}");
            }
        }
    }
    let mut state = person(45, 10);
    press(&mut state, "\n");
    assert!(state.opened);
    tap(&mut state, "back");
    assert!(!state.opened, "and there is a way back");
    let mut state = person(80, 24);
    tap(&mut state, "events");
    assert_eq!(state.screen, Screen::Events);
    press(&mut state, "1Pjobs");
    assert_eq!(tap(&mut state, "the jobs"), None);
    assert_eq!(state.screen, Screen::Jobs);
}

#[test]
fn what_was_shown_last_is_there_before_anything_is_heard() {
    for (width, height) in [(45, 10), (45, 20), (80, 24), (160, 48)] {
        let fleet = person(width, height).fleet;
        let mut state = State::new(Size { width, height }, NOW + Span::from_secs(60));
        state.recall(NOW, fleet);
        let shown = text(&drawn(&state, DARK));
        assert!(shown.contains("anvil") && shown.contains("stale 1 min"), "{width}x{height}: {shown}");
    }
}

#[test]
fn what_is_not_heard_any_more_is_not_taken_for_true_at_any_size() {
    for (width, height) in [(45, 10), (45, 20), (80, 24), (160, 48)] {
        let mut state = person(width, height);
        assert!(!text(&drawn(&state, DARK)).contains("? healthy"), "{width}x{height}");
        update(&mut state, Cmd::Heard(Heard::Failed("gone".into())));
        state.flash = None;
        state.now += Span::from_secs(12);
        let shown = text(&drawn(&state, DARK));
        assert!(shown.contains("? healthy") && shown.contains("stale 12 s"), "{width}x{height}: {shown}");
        assert_eq!(tap(&mut state, "stale 12 s"), None, "{width}x{height}");
        press(&mut state, "\n");
        assert!(state.opened);
        tap(&mut state, "esc back");
        assert!(!state.opened, "{width}x{height}");
    }
}

#[test]
fn a_text_that_does_not_fit_is_scrolled_to_its_end() {
    let mut state = person(45, 20);
    press(&mut state, "3\n");
    assert!(!text(&drawn(&state, DARK)).contains("\nresults"), "the history stands last");
    press(&mut state, "G");
    let last = text(&drawn(&state, DARK));
    assert!(last.contains("functions") && last.contains("results"), "{last}");
    press(&mut state, "jjj");
    assert_eq!(text(&drawn(&state, DARK)), last, "there is nothing after the end");
}

#[test]
fn text_from_elsewhere_steers_no_terminal() {
    let mut hostile = samples::fleet();
    hostile.nodes[0].name = "a\u{1b}[2J\u{202e}b\n\u{7}".into();
    hostile.nodes[0].projects = vec!["p\u{202e}\u{1b}[1m".into()];
    hostile.jobs[0].by = "operator \u{202e}x".into();
    hostile.jobs[0].project = Some("\u{9b}31m\t".into());
    hostile.projects[0].root = "/\u{1b}]52;c;AAAA\u{7}".into();
    let mut state = person(120, 40);
    let mut told = samples::news(hostile);
    told.events[0].text = "\u{1b}[31m".into();
    update(&mut state, Cmd::Heard(Heard::News(Box::new(crate::tui::clean::news(told)))));
    for keys in ["1", "2", "3", "4", "5g"] {
        press(&mut state, keys);
        let shown = text(&drawn(&state, DARK));
        assert!(!shown.chars().any(|c| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))), "{shown}");
    }
    assert_eq!(crate::tui::clean::output(b"a\tb\n\x1b[31mc\xff"), "a\tb\n\\u{1b}[31mc\u{fffd}");
}

#[test]
fn ten_thousand_nodes_are_drawn_one_screen_at_a_time() {
    let mut state = person(80, 24);
    let nodes = (0..10_000).map(|number| samples::node(number, &format!("node{number}"), "healthy", "active")).collect();
    hear(&mut state, crate::control::Snapshot { nodes, ..samples::fleet() });
    press(&mut state, "G");
    assert!(text(&drawn(&state, DARK)).contains("node9999"));
    assert_eq!(state.selected_node().map(|node| node.name.as_str()), Some("node9999"));
    press(&mut state, "/name:node77.9\n");
    assert_eq!(state.shown.len(), 10);
}

/// What stands where is the same in every theme, and is said with what an old terminal has too; how it looks is each theme's own.
#[test]
fn every_theme_says_the_same_in_its_own_way_at_every_size() {
    const THEMES: [(&str, Palette); 4] =
        [("dark", Palette::Dark), ("light", Palette::Light), ("high contrast", Palette::HighContrast), ("mono", Palette::Mono)];
    for (width, height) in [(45, 10), (45, 20), (60, 20), (80, 24), (120, 40), (200, 60)] {
        for (name, keys) in [
            ("fleet", ""),
            ("node", "\n"),
            ("jobs", "2"),
            ("projects", "3"),
            ("nearby", "4"),
            ("events", "5"),
            ("audit", "6"),
            ("log", "3ssched\n7"),
            ("fleets", "8"),
            ("sparks", "2s"),
            ("symbols", "3ssched\n"),
            ("drain", "d"),
            ("cordoned", "c"),
        ] {
            let mut state = person(width, height);
            press(&mut state, keys);
            let plain = text(&drawn(&state, PLAIN));
            assert!(plain.is_ascii(), "{name} {width}x{height}: {plain}");
            let mut shown = format!("ascii\n{plain}");
            let screens = THEMES.map(|(theme, palette)| (theme, drawn(&state, Theme { palette, signs: UNICODE })));
            for (theme, screen) in &screens {
                assert_eq!(text(screen), text(&screens[0].1), "{name} {width}x{height} {theme}");
                shown += &format!("\n\n{theme}\n{}", styles(screen));
            }
            insta::assert_snapshot!(format!("themes-{name}-{width}x{height}"), shown);
        }
    }
}

#[test]
fn a_person_chooses_the_columns_and_the_keys_that_are_hinted_at() {
    let mut state = person(80, 24);
    let shown = text(&drawn(&state, DARK));
    assert!(shown.contains("HEALTH") && shown.contains(" c cordon"), "{shown}");
    // The name, and then the health.
    state.options.columns[Screen::Fleet as usize] = vec![1, 0];
    state.options.keymap.bind(ActionId::Cordon, vec![Key::Char('C')]);
    let shown = text(&drawn(&state, DARK));
    let titles = shown.lines().find(|line| line.contains("NAME")).unwrap();
    assert!(titles.trim_start().starts_with("NAME") && titles.contains("HEALTH") && !titles.contains("LOAD"), "{shown}");
    assert!(shown.contains(" C cordon") && !shown.contains(" c cordon"), "{shown}");
    state.options.keymap.bind(ActionId::Cordon, Vec::new());
    assert!(!text(&drawn(&state, DARK)).contains("cordon"));
}
