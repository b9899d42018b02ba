//! Lines of toned text, put into cells. What does not fit is cut off; control characters never reach a cell.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::tui::theme::{Theme, Tone};

/// A piece of a line.
pub type Piece = (String, Tone);
/// A line of several tones.
pub type Line = Vec<Piece>;

/// A line of one tone.
pub fn plain(text: impl Into<String>, tone: Tone) -> Line {
    vec![(text.into(), tone)]
}

/// `name  value`, as details are written.
pub fn field(name: &str, value: impl Into<String>) -> Line {
    vec![(format!("{name:<11} "), Tone::Dim), (value.into(), Tone::Text)]
}

/// Cells that a line takes.
pub fn width(line: &Line) -> usize {
    line.iter().map(|(text, _)| text.width()).sum()
}

/// Writes one line at the top of an area.
pub fn line(buffer: &mut Buffer, area: Rect, pieces: &Line, theme: Theme) {
    if area.is_empty() {
        return;
    }
    let (mut x, end) = (area.x, area.right());
    for (text, tone) in pieces {
        (x, _) = buffer.set_stringn(x, area.y, text, usize::from(end.saturating_sub(x)), theme.style(*tone));
    }
}

/// Writes one line so that it ends where the area ends, if it fits.
pub fn line_at_end(buffer: &mut Buffer, area: Rect, pieces: &Line, theme: Theme) -> u16 {
    let cells = u16::try_from(width(pieces)).unwrap_or(u16::MAX);
    if cells > area.width {
        return 0;
    }
    line(buffer, Rect { x: area.right() - cells, width: cells, ..area }, pieces, theme);
    cells
}

/// Writes lines from the top of an area, the first `skipped` left out.
pub fn lines(buffer: &mut Buffer, area: Rect, lines: &[Line], skipped: usize, theme: Theme) {
    for (row, pieces) in (area.y..area.bottom()).zip(lines.iter().skip(skipped)) {
        line(buffer, Rect { y: row, height: 1, ..area }, pieces, theme);
    }
}

/// A row that is selected, in a way that needs no colour.
pub fn highlight(buffer: &mut Buffer, area: Rect, theme: Theme) {
    buffer.set_style(area, theme.style(Tone::Selected));
}

/// Makes an area empty, whatever was in it.
pub fn clear(buffer: &mut Buffer, area: Rect) {
    for position in area.intersection(buffer.area).positions() {
        buffer[position].reset();
    }
    buffer.set_style(area, Style::reset());
}

/// Cells of a field's name.
const FIELD: usize = 12;
/// Narrower than this, what goes on begins at the left again.
const INDENTED_MIN: usize = 30;

/// A line as the lines that it takes in a width: what is not shown is not known. What goes on of a field stands under its value.
pub fn folded(line: &Line, cells: usize) -> Vec<Line> {
    let cells = cells.max(1);
    if width(line) <= cells {
        return vec![line.clone()];
    }
    let is_field = line.first().is_some_and(|(text, tone)| *tone == Tone::Dim && text.width() == FIELD);
    let indent = if is_field && cells >= INDENTED_MIN { FIELD } else { 0 };
    let (mut lines, mut here): (Vec<Line>, Line) = (Vec::new(), Line::new());
    for (text, tone) in line {
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let room = cells.saturating_sub(width(&here));
            let end = end_within(rest, room, width(&here) <= indent);
            let (now, later) = rest.split_at(end);
            let later = if later.is_empty() { later } else { later.trim_start() };
            here.push((if later.is_empty() { now } else { now.trim_end() }.to_owned(), *tone));
            rest = later;
            if !rest.is_empty() {
                lines.push(std::mem::take(&mut here));
                here.extend((indent > 0).then(|| (" ".repeat(indent), Tone::Dim)));
            }
        }
    }
    lines.push(here);
    lines
}

/// How much of a text fits: up to a space if there is one, and a piece in any case where the line is empty.
fn end_within(text: &str, room: usize, is_empty: bool) -> usize {
    let (mut used, mut fits, mut space) = (0, 0, None);
    for (at, letter) in text.char_indices() {
        used += letter.width().unwrap_or(0);
        if used > room && letter == ' ' && fits > 0 {
            return fits;
        }
        if used > room {
            let whole = space.unwrap_or(if is_empty { fits } else { 0 });
            return if whole == 0 && is_empty { fits.max(letter.len_utf8()) } else { whole };
        }
        fits = at + letter.len_utf8();
        if letter == ' ' {
            space = Some(fits);
        }
    }
    text.len()
}

/// Breaks text at spaces so that no line has more than `cells`; a longer word is cut in pieces.
pub fn wrapped(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("it begins with one");
        if last.width() + usize::from(!last.is_empty()) + word.width() <= cells {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
            continue;
        }
        if !last.is_empty() {
            lines.push(String::new());
        }
        for letter in word.chars() {
            let last = lines.last_mut().expect("it begins with one");
            if last.width() + letter.width().unwrap_or(0) > cells && !last.is_empty() {
                lines.push(letter.to_string());
            } else {
                last.push(letter);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_folded_and_nothing_of_it_is_lost() {
        let texts =
            |line: &Line, cells| folded(line, cells).iter().map(|line| line.iter().map(|(text, _)| text.as_str()).collect::<String>()).collect::<Vec<_>>();
        assert_eq!(texts(&plain("one two three", Tone::Text), 7), ["one two", "three"]);
        assert_eq!(texts(&plain("abcdefgh", Tone::Text), 3), ["abc", "def", "gh"]);
        assert_eq!(texts(&plain("字字", Tone::Text), 1), ["字", "字"]);
        assert_eq!(
            texts(&field("why", "no node is there to run the whole of it"), 30),
            ["why         no node is there", "            to run the whole", "            of it"]
        );
        assert_eq!(texts(&vec![("a b".into(), Tone::Text), ("cdef".into(), Tone::Dim)], 5), ["a b", "cdef"]);
    }

    #[test]
    fn text_is_wrapped_and_nothing_of_it_is_lost() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("字字字", 3), ["字", "字", "字"]);
    }
}
