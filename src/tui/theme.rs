//! Colours and signs. Everything that a colour says, a word or a sign says too.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Text,
    /// Less important.
    Dim,
    /// The name of a column or part.
    Title,
    Good,
    Warning,
    Bad,
    /// What moves, and what keys are.
    Accent,
    Selected,
}

/// How the dashboard looks.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    pub colours: bool,
    pub signs: Signs,
}

/// The characters that are not letters.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    pub healthy: &'static str,
    pub degraded: &'static str,
    pub unhealthy: &'static str,
    pub offline: &'static str,
    pub closed: &'static str,
    pub waiting: &'static str,
    pub stale: &'static str,
    pub selected: &'static str,
    pub step: &'static str,
    pub dot: &'static str,
    pub rule: &'static str,
    /// From nothing to full.
    pub bars: &'static [&'static str],
    pub full: &'static str,
    pub empty: &'static str,
}

pub const UNICODE: Signs = Signs {
    healthy: "●",
    degraded: "▲",
    unhealthy: "▼",
    offline: "✕",
    closed: "◐",
    waiting: "○",
    stale: "?",
    selected: "›",
    step: "›",
    dot: "·",
    rule: "─",
    bars: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    full: "█",
    empty: "░",
};

pub const ASCII: Signs = Signs {
    healthy: "o",
    degraded: "!",
    unhealthy: "!",
    offline: "x",
    closed: "~",
    waiting: ".",
    stale: "?",
    selected: ">",
    step: ">",
    dot: "-",
    rule: "-",
    bars: &["_", ".", ":", "-", "=", "+", "*", "#"],
    full: "#",
    empty: ".",
};

impl Theme {
    pub fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        let (colour, modifier) = match tone {
            Tone::Text => return plain,
            Tone::Selected => return plain.add_modifier(Modifier::REVERSED),
            Tone::Dim => (Color::DarkGray, Modifier::DIM),
            Tone::Title => (Color::Reset, Modifier::BOLD),
            // Blue against orange rather than green against red: told apart by every eye.
            Tone::Good => (Color::Cyan, Modifier::empty()),
            Tone::Warning => (Color::Yellow, Modifier::empty()),
            Tone::Bad => (Color::LightRed, Modifier::BOLD),
            Tone::Accent => (Color::LightBlue, Modifier::empty()),
        };
        match (self.colours, tone) {
            // Dim is a colour of its own there, and not on top of one.
            (true, Tone::Dim) => plain.fg(colour),
            (true, _) => plain.fg(colour).add_modifier(modifier),
            (false, _) => plain.add_modifier(modifier),
        }
    }

    /// The sign and the tone of a node's or job's state.
    pub fn sign(self, word: &str) -> (&'static str, Tone) {
        let signs = self.signs;
        match word {
            "healthy" | "running" | "completed" | "live" => (signs.healthy, Tone::Good),
            "degraded" => (signs.degraded, Tone::Warning),
            "unhealthy" => (signs.unhealthy, Tone::Bad),
            "offline" | "failed" | "no master" => (signs.offline, Tone::Bad),
            "draining" | "cordoned" | "paused" => (signs.closed, Tone::Warning),
            "stale" => (signs.stale, Tone::Warning),
            _ => (signs.waiting, Tone::Dim),
        }
    }
}
