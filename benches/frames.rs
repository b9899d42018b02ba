//! What a frame of the dashboard costs with ten thousand nodes in the table: drawing it, moving in it, hearing of new figures, filtering.
//!
//! Prints one line per bar: what was measured, the median in milliseconds, the bar; with tabs between them. There is no terminal.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::time::Instant;

use bitacora::{
    control::{
        NodeState,
        watch::{Change, Mark, News},
    },
    tui::{
        actions::ActionId,
        keymap::Key,
        screens,
        state::{Feed, State},
        theme::{Palette, Theme, UNICODE},
        update::{Cmd, Heard, update},
    },
};
use bitacora_core::{
    ids::{Epoch, NodeId},
    time::{Span, Time},
};
use ratatui::{
    buffer::Buffer,
    layout::{Rect, Size},
};

const NODES: u32 = 10_000;
/// That have new figures in one frame: a fleet of this size sends 500 heartbeats a second.
const CHANGED: u32 = 500;
const ROUNDS: usize = 60;
const FRAME_MILLIS_MAX: f64 = 5.0;
const SIZES: [(u16, u16); 3] = [(45, 20), (80, 24), (200, 60)];
const THEME: Theme = Theme { palette: Palette::Dark, signs: UNICODE };

fn main() {
    for (width, height) in SIZES {
        let mut person = Person::new(Size { width, height });
        let size = format!("{width}x{height}");
        person.measure(&format!("10,000 nodes, {size}: drawing"), |_, _| {});
        person.measure(&format!("10,000 nodes, {size}: a key and drawing"), |state, round| {
            let key = if round % 7 == 0 { ActionId::PageDown } else { ActionId::Down };
            update(state, Cmd::Do(key));
        });
        person.measure(&format!("10,000 nodes, {size}: {CHANGED} new figures and drawing"), hear);
        update(&mut person.state, Cmd::Do(ActionId::Filter));
        "node-7".chars().for_each(|letter| drop(update(&mut person.state, Cmd::Edit(Key::Char(letter)))));
        person.measure(&format!("10,000 nodes, {size}: {CHANGED} new figures, a filter, and drawing"), hear);
    }
}

fn hear(state: &mut State, round: usize) {
    let first = (round as u32 * CHANGED) % NODES;
    update(state, Cmd::Heard(Heard::News(Box::new(news(state.now, first..first + CHANGED, round as u16 * 13 % 1000)))));
}

struct Person {
    state: State,
    buffer: Buffer,
}

impl Person {
    fn new(size: Size) -> Person {
        let mut state = State::new(size, Time(1_800_000_000_000_000));
        let news = News { from_nothing: true, ..news(state.now, 0..NODES, 400) };
        update(&mut state, Cmd::Heard(Heard::News(Box::new(news))));
        assert!(state.fleet.nodes.len() == NODES as usize && state.feed == Feed::Live);
        Person { state, buffer: Buffer::empty(Rect::new(0, 0, size.width, size.height)) }
    }

    fn measure(&mut self, what: &str, act: impl Fn(&mut State, usize)) {
        let mut taken: Vec<f64> = Vec::new();
        for round in 0..ROUNDS {
            self.state.now += Span::from_secs(1);
            let begun = Instant::now();
            act(&mut self.state, round);
            self.buffer.reset();
            screens::draw(&self.state, THEME, &mut self.buffer);
            taken.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        assert!(self.buffer.content.iter().any(|cell| cell.symbol() == "n"), "nodes are drawn");
        taken.sort_by(f64::total_cmp);
        println!("{what}\t{:.3}\t{FRAME_MILLIS_MAX}", taken[ROUNDS / 2]);
    }
}

fn news(at: Time, numbers: std::ops::Range<u32>, permille: u16) -> News {
    let changes = numbers.map(|number| Change::Node(Box::new(node(number, permille)))).collect();
    News { at, listens: Some("[::]:7411".into()), mark: Mark { epoch: Epoch(1), change: at.0 }, changes, ..News::default() }
}

fn node(number: u32, permille: u16) -> NodeState {
    NodeState {
        id: NodeId::counted(Epoch(1), number + 1).to_string(),
        name: format!("node-{number}"),
        role: "worker".into(),
        availability: "active".into(),
        cause: None,
        health: if number.is_multiple_of(50) { "degraded" } else { "healthy" }.into(),
        linked: true,
        slots: 8,
        sparks: number % 9,
        projects: Vec::new(),
        cores: 8,
        cpu_permille: permille,
        memory_bytes: 16 << 30,
        memory_available_bytes: 9 << 30,
        labels: [("zone".to_owned(), "eu".to_owned())].into(),
        given_labels: [].into(),
        paired_at: Time(0),
        version: "0.1.0".into(),
        address: Some("192.0.2.7:40112".into()),
        round_trip: Some(Span::from_millis(u64::from(number % 90))),
    }
}
