//! Where what stands, as a function of the terminal's size alone. Nothing overlaps, and no size is refused.

use ratatui::layout::{Rect, Size};

/// How much room there is, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// One sentence and the list of problems.
    #[default]
    Sentence,
    /// One thing at a time, in cards.
    Phone,
    /// A table, and below it what is selected.
    Drawer,
    /// A table, and beside it what is selected.
    Side,
    /// A third column with what was done.
    Wide,
}

/// Fewer rows show nothing but problems.
const ROWS_MIN: u16 = 8;
/// Fewer rows have none to spare for names and hints: the keyboard of a phone is open.
const ROWS_CALM: u16 = 14;
/// A drawer takes this share of the rows, in thirds.
const DRAWER_THIRDS: u16 = 1;
/// Cells by which a terminal must shrink below a tier before the tier is left: a border that is dragged does not flicker.
const HYSTERESIS: u16 = 2;

impl Tier {
    const WIDTHS: [(Tier, u16); 4] = [(Tier::Wide, 160), (Tier::Side, 100), (Tier::Drawer, 60), (Tier::Phone, 36)];

    /// The tier of a size, for a terminal that had another before.
    pub fn of(size: Size, before: Option<Tier>) -> Tier {
        let slack = |tier: Tier| if before.is_some_and(|before| before >= tier) { HYSTERESIS } else { 0 };
        if size.height + slack(Tier::Phone) < ROWS_MIN {
            return Tier::Sentence;
        }
        Tier::WIDTHS.into_iter().find(|(tier, width)| size.width + slack(*tier) >= *width).map_or(Tier::Sentence, |(tier, _)| tier)
    }

    /// Lines that an entry of a list takes.
    pub fn lines_per_entry(self, size: Size) -> u16 {
        if self == Tier::Phone && size.height >= ROWS_CALM { 2 } else { 1 }
    }
}

/// The parts of the screen; one without cells is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Areas {
    pub bar: Rect,
    /// The names of a table's columns.
    pub titles: Rect,
    pub list: Rect,
    pub detail: Rect,
    pub log: Rect,
    pub foot: Rect,
}

/// What of the screen is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// What is selected has all of the room.
    pub opened: bool,
    /// There is something selected that can be shown beside a list.
    pub detail: bool,
    /// The last row has something to say that cannot be left out.
    pub foot: bool,
}

pub fn areas(size: Size, tier: Tier, wanted: Wanted) -> Areas {
    let all = Rect::new(0, 0, size.width, size.height);
    if tier == Tier::Sentence {
        let foot = u16::from(wanted.foot && size.height > 1);
        let (list, foot) = cut_below(all, foot);
        return Areas { list, foot, ..Areas::default() };
    }
    let calm = size.height >= ROWS_CALM || tier > Tier::Phone;
    let (bar, rest) = cut_above(all, u16::from(calm));
    let (body, foot) = cut_below(rest, u16::from(calm || wanted.foot));
    if wanted.opened {
        return Areas { bar, detail: body, foot, ..Areas::default() };
    }
    let (body, log) = if tier == Tier::Wide { cut_right(body, body.width / 4) } else { (body, Rect::default()) };
    let (left, detail) = match tier {
        _ if !wanted.detail => (body, Rect::default()),
        Tier::Sentence | Tier::Phone => (body, Rect::default()),
        Tier::Drawer if size.height < 2 * ROWS_MIN => (body, Rect::default()),
        Tier::Drawer => cut_below(body, (body.height * DRAWER_THIRDS / 3).max(7)),
        Tier::Side | Tier::Wide => cut_right(body, body.width * 2 / 5),
    };
    let (titles, list) = cut_above(left, u16::from(tier > Tier::Phone));
    Areas { bar, titles, list, detail, log, foot }
}

/// The first rows, and the others.
pub fn cut_above(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    (Rect { height: rows, ..area }, Rect { y: area.y + rows, height: area.height - rows, ..area })
}

/// The other rows, and the last ones.
pub fn cut_below(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    cut_above(area, area.height - rows)
}

/// The other columns, and the last ones.
pub fn cut_right(area: Rect, columns: u16) -> (Rect, Rect) {
    let left = area.width - columns.min(area.width);
    (Rect { width: left, ..area }, Rect { x: area.x + left, width: area.width - left, ..area })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overlaps_or_lies_outside_at_any_size() {
        for (width, height) in (1..=240).flat_map(|width| (1..=70).map(move |height| (width, height))) {
            let size = Size::new(width, height);
            for flags in 0..8 {
                let wanted = Wanted { opened: flags & 1 > 0, detail: flags & 2 > 0, foot: flags & 4 > 0 };
                let areas = areas(size, Tier::of(size, None), wanted);
                let shown: Vec<Rect> =
                    [areas.bar, areas.titles, areas.list, areas.detail, areas.log, areas.foot].into_iter().filter(|area| !area.is_empty()).collect();
                let inside = |area: &Rect| area.right() <= width && area.bottom() <= height;
                assert!(shown.iter().all(inside), "{width}x{height} {wanted:?}: {areas:?}");
                let apart = |(place, area): (usize, &Rect)| shown[place + 1..].iter().all(|other| area.intersection(*other).is_empty());
                assert!(shown.iter().enumerate().all(apart), "{width}x{height} {wanted:?}: {areas:?}");
                let room: u32 = shown.iter().map(|area| area.area()).sum();
                assert_eq!(room, u32::from(width) * u32::from(height), "every cell belongs to somebody: {areas:?}");
                let main = if wanted.opened && areas.list.is_empty() { areas.detail } else { areas.list };
                assert!(!main.is_empty(), "{width}x{height} {wanted:?}: {areas:?}");
            }
        }
    }

    #[test]
    fn a_border_that_is_dragged_does_not_flicker() {
        let drawer = Tier::of(Size::new(100, 24), None);
        assert_eq!(drawer, Tier::Side);
        assert_eq!(Tier::of(Size::new(99, 24), Some(drawer)), Tier::Side);
        assert_eq!(Tier::of(Size::new(97, 24), Some(drawer)), Tier::Drawer);
        assert_eq!(Tier::of(Size::new(99, 24), Some(Tier::Drawer)), Tier::Drawer);
        assert_eq!(Tier::of(Size::new(45, 20), None), Tier::Phone);
        assert_eq!(Tier::of(Size::new(80, 7), None), Tier::Sentence);
    }
}
