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
    pub palette: Palette,
    pub signs: Signs,
}

/// Which colours there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// On a dark terminal.
    #[default]
    Dark,
    /// On a light one.
    Light,
    /// Nothing is dim, and what matters is written in another way too.
    HighContrast,
    /// None at all.
    Mono,
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
    pub marked: &'static str,
    pub step: &'static str,
    pub dot: &'static str,
    pub degree: &'static str,
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
    marked: "✓",
    step: "›",
    dot: "·",
    degree: "°",
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
    marked: "*",
    step: ">",
    dot: "-",
    degree: "",
    rule: "-",
    bars: &["_", ".", ":", "-", "=", "+", "*", "#"],
    full: "#",
    empty: ".",
};

impl Theme {
    /// What every terminal can show.
    pub const PLAINEST: Theme = Theme { palette: Palette::Mono, signs: ASCII };

    pub fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        let (colour, modifier) = match (self.palette, tone) {
            (_, Tone::Text) => return plain,
            (_, Tone::Selected) => return plain.add_modifier(Modifier::REVERSED),
            (_, Tone::Title) => return plain.add_modifier(Modifier::BOLD),
            (Palette::Dark, _) => dark(tone),
            (Palette::Light, _) => light(tone),
            (Palette::HighContrast, _) => high_contrast(tone),
            (Palette::Mono, Tone::Dim) => (Color::Reset, Modifier::DIM),
            (Palette::Mono, Tone::Bad) => (Color::Reset, Modifier::BOLD),
            (Palette::Mono, _) => return plain,
        };
        if self.palette == Palette::Mono { plain.add_modifier(modifier) } else { plain.fg(colour).add_modifier(modifier) }
    }

    /// What stands before an entry.
    pub fn mark(self, is_selected: bool, is_marked: bool) -> String {
        let sign = |is: bool, sign| if is { sign } else { " " };
        format!("{}{}", sign(is_selected, self.signs.selected), sign(is_marked, self.signs.marked))
    }

    /// The sign and the tone of a node's or job's state.
    pub fn sign(self, word: &str) -> (&'static str, Tone) {
        let signs = self.signs;
        match word {
            "healthy" | "running" | "completed" | "live" | "paired" => (signs.healthy, Tone::Good),
            "degraded" | "retrying" => (signs.degraded, Tone::Warning),
            "unhealthy" => (signs.unhealthy, Tone::Bad),
            "offline" | "unreachable" | "failed" | "quarantined" | "no master" => (signs.offline, Tone::Bad),
            "draining" | "cordoned" | "paused" => (signs.closed, Tone::Warning),
            "stale" => (signs.stale, Tone::Warning),
            _ => (signs.waiting, Tone::Dim),
        }
    }
}

/// Blue against orange rather than green against red: told apart by every eye.
const fn dark(tone: Tone) -> (Color, Modifier) {
    match tone {
        Tone::Good => (Color::Cyan, Modifier::empty()),
        Tone::Warning => (Color::Yellow, Modifier::empty()),
        Tone::Bad => (Color::LightRed, Modifier::BOLD),
        Tone::Accent => (Color::LightBlue, Modifier::empty()),
        // Dim is a colour of its own here, and not on top of one.
        Tone::Dim | Tone::Text | Tone::Title | Tone::Selected => (Color::DarkGray, Modifier::empty()),
    }
}

/// Of the 256 colours, which are the same everywhere: a terminal's own yellow is not to be read on white.
const fn light(tone: Tone) -> (Color, Modifier) {
    match tone {
        Tone::Good => (Color::Indexed(24), Modifier::empty()),
        Tone::Warning => (Color::Indexed(130), Modifier::empty()),
        Tone::Bad => (Color::Indexed(124), Modifier::BOLD),
        Tone::Accent => (Color::Indexed(25), Modifier::empty()),
        Tone::Dim | Tone::Text | Tone::Title | Tone::Selected => (Color::Indexed(241), Modifier::empty()),
    }
}

const fn high_contrast(tone: Tone) -> (Color, Modifier) {
    match tone {
        Tone::Good => (Color::LightCyan, Modifier::empty()),
        Tone::Warning => (Color::LightYellow, Modifier::BOLD),
        Tone::Bad => (Color::LightRed, Modifier::BOLD.union(Modifier::UNDERLINED)),
        Tone::Accent => (Color::LightCyan, Modifier::BOLD),
        Tone::Dim | Tone::Text | Tone::Title | Tone::Selected => (Color::Reset, Modifier::empty()),
    }
}
