//! A table whose least important columns go first when there is no room.

use ratatui::{buffer::Buffer, layout::Rect};
use unicode_width::UnicodeWidthStr;

use super::paint::{self, Line, Piece};
use crate::tui::theme::{Theme, Tone};

/// A column, by what it needs.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub title: &'static str,
    /// Cells, at least.
    pub cells: u16,
    /// The highest goes first.
    pub rank: u8,
    pub right: bool,
    /// It takes what is left, up to this.
    pub cells_max: u16,
}

impl Column {
    pub const fn new(title: &'static str, cells: u16, rank: u8) -> Column {
        Column { title, cells, rank, right: false, cells_max: cells }
    }

    pub const fn right(self) -> Column {
        Column { right: true, ..self }
    }

    pub const fn up_to(self, cells_max: u16) -> Column {
        Column { cells_max, ..self }
    }
}

/// What stands before each row.
const MARGIN: u16 = 2;
const GAP: u16 = 2;

/// The columns that fit, with their places in the row and their cells.
pub fn fitting(columns: &[Column], width: u16) -> Vec<(usize, u16)> {
    let mut kept: Vec<(usize, u16)> = columns.iter().enumerate().map(|(place, column)| (place, column.cells)).collect();
    let needs = |kept: &[(usize, u16)]| MARGIN + kept.iter().map(|(_, cells)| cells + GAP).sum::<u16>();
    while kept.len() > 1 && needs(&kept) > width + GAP {
        let least = (0..kept.len()).max_by_key(|place| columns[kept[*place].0].rank).expect("there is more than one");
        kept.remove(least);
    }
    let mut slack = (width + GAP).saturating_sub(needs(&kept));
    for (place, cells) in &mut kept {
        let more = (columns[*place].cells_max - columns[*place].cells).min(slack);
        *cells += more;
        slack -= more;
    }
    kept
}

/// Where a table stands.
#[derive(Clone, Copy)]
pub struct Frame {
    pub titles: Rect,
    pub rows: Rect,
    /// The row that is selected, counted from the first on the screen.
    pub selected: usize,
}

pub fn draw(buffer: &mut Buffer, frame: Frame, columns: &[Column], rows: impl Iterator<Item = (bool, Vec<Piece>)>, theme: Theme) {
    let fitting = fitting(columns, frame.rows.width);
    let titles: Vec<Piece> = columns.iter().map(|column| (column.title.to_owned(), Tone::Dim)).collect();
    paint::line(buffer, frame.titles, &row("  ", &titles, columns, &fitting), theme);
    for (y, (place, (is_marked, cells))) in (frame.rows.y..frame.rows.bottom()).zip(rows.enumerate()) {
        let area = Rect { y, height: 1, ..frame.rows };
        let is_selected = place == frame.selected;
        let mark = theme.mark(is_selected, is_marked);
        paint::line(buffer, area, &row(&mark, &cells, columns, &fitting), theme);
        if is_selected {
            paint::highlight(buffer, area, theme);
        }
    }
}

fn row(mark: &str, cells: &[Piece], columns: &[Column], fitting: &[(usize, u16)]) -> Line {
    let mut line = paint::plain(mark, Tone::Text);
    for (nth, (place, room)) in fitting.iter().enumerate() {
        let (text, tone) = &cells[*place];
        let text = cut(text, usize::from(*room));
        let blank = " ".repeat(usize::from(*room).saturating_sub(text.width()));
        let gap = if nth + 1 < fitting.len() { " ".repeat(usize::from(GAP)) } else { String::new() };
        let padded = if columns[*place].right { format!("{blank}{text}{gap}") } else { format!("{text}{blank}{gap}") };
        line.push((padded, *tone));
    }
    line
}

/// At most so many cells, with a sign where something is missing.
pub fn cut(text: &str, cells: usize) -> String {
    if text.width() <= cells {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        if kept.width() + unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0) + 1 > cells {
            break;
        }
        kept.push(letter);
    }
    if cells > 0 { kept + "~" } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::new("a", 4, 0).up_to(10), Column::new("b", 4, 2), Column::new("c", 4, 1).right()];

    #[test]
    fn the_least_important_column_goes_first() {
        let kept = |width| fitting(&COLUMNS, width).into_iter().map(|(place, _)| place).collect::<Vec<_>>();
        assert_eq!(kept(18), [0, 1, 2]);
        assert_eq!(kept(17), [0, 2]);
        assert_eq!(kept(3), [0]);
        assert_eq!(fitting(&COLUMNS, 100)[0], (0, 10));
    }

    #[test]
    fn long_text_is_cut_where_its_column_ends() {
        assert_eq!(cut("abcdef", 4), "abc~");
        assert_eq!(cut("字字字", 4), "字~");
        assert_eq!((cut("abc", 3).as_str(), cut("abc", 0).as_str()), ("abc", ""));
    }
}
