//! Figures as bars.

use crate::tui::theme::Signs;

/// The newest samples, one cell each, in thousandths.
pub fn line(samples: impl Iterator<Item = u16>, cells: usize, signs: Signs) -> String {
    let bar = |permille: u16| signs.bars[usize::from(permille) * (signs.bars.len() - 1) / 1000];
    let bars: Vec<&str> = samples.map(bar).collect();
    let drawn: String = bars[bars.len().saturating_sub(cells)..].concat();
    format!("{}{drawn}", " ".repeat(cells.saturating_sub(bars.len())))
}

/// How much of something is done or full.
pub fn gauge(percent: u32, cells: usize, signs: Signs) -> String {
    let full = (percent.min(100) as usize * cells + 50) / 100;
    format!("{}{}", signs.full.repeat(full), signs.empty.repeat(cells - full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::{ASCII, UNICODE};

    #[test]
    fn bars_have_the_width_that_they_are_given() {
        assert_eq!(line([0, 500, 1000].into_iter(), 5, UNICODE), "  ▁▄█");
        assert_eq!(line([0, 500, 1000].into_iter(), 2, ASCII), "-#");
        assert_eq!(gauge(50, 4, ASCII), "##..");
        assert_eq!(gauge(1000, 4, ASCII), "####");
    }
}
