//! What is drawn, as text and as styles. Each snapshot was read before it was kept.

use ratatui::{
    buffer::Buffer,
    layout::{Rect, Size},
};

use super::*;
use crate::tui::{
    keymap::{self, Key},
    samples::{self, NOW, hear, person},
    theme::{ASCII, UNICODE},
    update::{Cmd, Heard, Report, update},
};

const DARK: Theme = Theme { colours: true, signs: UNICODE };
const PLAIN: Theme = Theme { colours: false, signs: ASCII };

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
            let is_plain = style.fg.is_none_or(|colour| colour == ratatui::style::Color::Reset) && style.add_modifier.is_empty();
            if !is_plain {
                lines.push(format!("{y}:{x}-{end} {:?} {:?}", style.fg.unwrap_or_default(), style.add_modifier));
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
    }
}

#[test]
fn the_screens_at_the_sizes_that_people_have() {
    for (width, height) in [(45, 10), (45, 20), (60, 20), (80, 24), (120, 40), (160, 48)] {
        for (name, keys) in [("fleet", ""), ("jobs", "2"), ("projects", "3")] {
            let mut state = person(width, height);
            press(&mut state, keys);
            insta::assert_snapshot!(format!("{name}-{width}x{height}"), text(&drawn(&state, DARK)));
        }
    }
}

#[test]
fn the_rest_on_a_phone_and_on_a_terminal() {
    for (width, height) in [(45, 20), (80, 24)] {
        for (name, keys) in [("node", "\n"), ("job", "2\n"), ("drain", "d"), ("shutdown", "San"), ("help", "?"), ("line", ":node l"), ("filter", "/!heal")] {
            let mut state = person(width, height);
            press(&mut state, keys);
            insta::assert_snapshot!(format!("{name}-{width}x{height}"), text(&drawn(&state, DARK)));
        }
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
        update(&mut state, Cmd::Heard(Box::new(Report { fleet: Heard::NoMaster, node: None, reasons: None })));
        insta::assert_snapshot!(format!("no-master-{width}x{height}"), text(&drawn(&state, DARK)));
        hear(&mut state, crate::control::Snapshot { nodes: Vec::new(), ..samples::fleet() });
        insta::assert_snapshot!(format!("no-node-{width}x{height}"), text(&drawn(&state, DARK)));
    }
}

#[test]
fn without_colours_and_signs_everything_is_still_said() {
    let state = person(80, 24);
    let (dark, plain) = (drawn(&state, DARK), drawn(&state, PLAIN));
    insta::assert_snapshot!("fleet-80x24-ascii", text(&plain));
    insta::assert_snapshot!("fleet-80x24-styles", styles(&dark));
    assert!(text(&plain).is_ascii());
    let coloured = |buffer: &Buffer| buffer.content().iter().any(|cell| cell.fg != ratatui::style::Color::Reset || cell.bg != ratatui::style::Color::Reset);
    assert!(coloured(&dark) && !coloured(&plain));
    let reversed = plain.content().iter().any(|cell| cell.modifier.contains(ratatui::style::Modifier::REVERSED));
    assert!(reversed, "the selection is seen without colours");
}

#[test]
fn every_size_is_drawn() {
    for (width, height) in (1..=240).step_by(7).flat_map(|width| (1..=70).step_by(3).map(move |height| (width, height))) {
        for keys in ["", "\n", "2", "3\n", "?", "d", "Sx", ":abc", "/a"] {
            let mut state = person(width, height);
            press(&mut state, keys);
            drawn(&state, DARK);
        }
    }
}

#[test]
fn text_from_elsewhere_steers_no_terminal() {
    let mut hostile = samples::fleet();
    hostile.nodes[0].name = "a\u{1b}[2J\u{202e}b\n\u{7}".into();
    hostile.jobs[0].project = Some("\u{9b}31m\t".into());
    hostile.projects[0].root = "/\u{1b}]52;c;AAAA\u{7}".into();
    let mut state = person(120, 40);
    hear(&mut state, crate::tui::clean::snapshot(hostile));
    for keys in ["1", "2", "3"] {
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
}
