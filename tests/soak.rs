//! The dashboard for a long time in front of a busy fleet: a master that is played by the test tells news of 200 nodes ten times a second.
//!
//! A few rounds at a desk; `.ci/long` says with `BITACORA_SOAK_NEWS` how many.

use std::{
    env, fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bitacora::{
    control::{
        Answer, Asked, ControlSocket, NodeState, Request,
        watch::{Change, Mark, News},
    },
    timeline::Happening,
};
use bitacora_core::{
    ids::{Epoch, NodeId},
    time::{Span, Time},
};

use super::{dashboard::Terminal, fleet::until, support::Place};

const NODES: u32 = 200;
const NEWS_EVERY: Duration = Duration::from_millis(100);
/// Of the first of them nothing is asked yet: buffers grow until they are as large as they need to be.
const SETTLED_AFTER: u64 = 20;

fn node(number: u32, round: u64) -> NodeState {
    NodeState {
        id: NodeId::counted(Epoch(1), number).to_string(),
        name: format!("node-{number}"),
        role: "worker".into(),
        availability: "active".into(),
        cause: None,
        health: if (round + u64::from(number)).is_multiple_of(50) { "degraded" } else { "healthy" }.into(),
        linked: true,
        slots: 8,
        sparks: (round % 9) as u32,
        projects: Vec::new(),
        cores: 8,
        cpu_permille: ((round * 37 + u64::from(number) * 11) % 1000) as u16,
        memory_bytes: 16 << 30,
        memory_available_bytes: (8 << 30) + (round << 20),
        labels: [("zone".to_owned(), "eu".to_owned())].into(),
        given_labels: [].into(),
        paired_at: Time(0),
        version: "0.1.0".into(),
        address: Some("192.0.2.7:40112".into()),
        round_trip: Some(Span::from_millis(round % 90)),
    }
}

/// The news of a round: every node has other figures, and something has happened.
fn news(round: u64, from_nothing: bool) -> News {
    let at = Time(1_800_000_000_000_000 + round * 100_000);
    let event = Happening { number: round, at, kind: "node-changed".into(), subject: "n1.1".into(), text: format!("round {round} is over") };
    let changes = (1..=NODES).map(|number| Change::Node(Box::new(node(number, round)))).collect();
    News { at, listens: Some("[::]:7411".into()), mark: Mark { epoch: Epoch(1), change: round }, from_nothing, changes, events: vec![event], ..News::default() }
}

/// Resident bytes of a process.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

#[test]
fn it_stays_as_it_is_in_front_of_200_nodes_at_ten_hertz() {
    let rounds: u64 = env::var("BITACORA_SOAK_NEWS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(40);
    let place = Place::new();
    fs::create_dir_all(place.data()).unwrap();
    let (socket, told) = (place.path("master"), Arc::new(AtomicU64::new(0)));
    let (counted, begun) = (Arc::clone(&told), Instant::now());
    let _master = ControlSocket::listen(&socket, move |Asked { request, answer, .. }| {
        let Request::Watch(watch) = request else { return drop(answer.send(Answer::Refused("it only tells".into()))) };
        let round = watch.known.map_or(1, |mark| mark.change + 1);
        // The pace of the fleet, not of the test.
        if round <= rounds {
            thread::sleep((NEWS_EVERY * round as u32).saturating_sub(begun.elapsed()));
            counted.fetch_max(round, Ordering::SeqCst);
            // Whoever asked may look at something else meanwhile.
            let _ = answer.send(Answer::News(Box::new(news(round, watch.known.is_none()))));
        }
    })
    .unwrap();
    let Some(mut terminal) = Terminal::open_with(&place, (160, 48), &[], &["--behind", socket.to_str().unwrap()]) else { return };
    until(|| told.load(Ordering::SeqCst) >= SETTLED_AFTER.min(rounds));
    let before = resident(terminal.process());
    let keys = ["j", "k", "5", "1", "\r", "h", "G", "g", "/", "9", "\r", "h", "h", "2", "3", "?", "h", "1", "P", "x", "\x1b", "v", "V", "V"];
    let mut nth = 0;
    while told.load(Ordering::SeqCst) < rounds {
        terminal.press(keys[nth % keys.len()]);
        nth += 1;
        thread::sleep(NEWS_EVERY / 2);
    }
    // It has kept up: the last round is on the screen.
    terminal.press("\x1b");
    until(|| {
        terminal.press("5G");
        terminal.text().contains(&format!("round {rounds} is over"))
    });
    let after = resident(terminal.process());
    assert!(after < before * 2, "{before} bytes have become {after} in {rounds} rounds");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}
