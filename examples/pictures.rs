//! Makes the pictures of the README and the recording beside them: runs the real program on a terminal of its own, presses keys, and writes what
//! the terminal shows as SVG with real text, and as an asciicast.
//!
//! ```text
//! cargo build --release && cargo run --release --example pictures -- target/release/bitacora assets/pictures [SECONDS]
//! ```
//!
//! SECONDS is how long a chart is given to fill, 30 if not said.

use std::{
    error::Error,
    fmt::Write as _,
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use unicode_width::UnicodeWidthStr;

/// A cell, in the units of the picture, and where in it letters stand.
const CELL: (f64, f64) = (8.4, 17.0);
const BASELINE: f64 = 12.8;
const FONT: &str = "ui-monospace,'DejaVu Sans Mono','Cascadia Mono','SF Mono',Menlo,Consolas,monospace";
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d6d9df";
/// The sixteen colours of a terminal.
const COLOURS: [&str; 16] = [
    "#23262e", "#e06c75", "#98c379", "#d9b36c", "#61afef", "#c678dd", "#56b6c2", "#abb2bf", "#7d8490", "#ff8f98", "#b5e890", "#ffd68a", "#82c4ff", "#e0a3f0",
    "#7fdbe6", "#ffffff",
];
const PATIENCE: Duration = Duration::from_secs(30);
/// Enough for every step to be read.
const STEP_SECONDS: f64 = 2.2;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One picture: its name, the terminal's size, the keys to get there, and what is to be seen then.
struct Picture {
    name: &'static str,
    size: (u16, u16),
    keys: &'static [&'static str],
    seen: &'static str,
}

const PICTURES: [Picture; 5] = [
    Picture { name: "fleet-160x48", size: (160, 48), keys: &["j", "j"], seen: "healthy" },
    Picture { name: "fleet-80x24", size: (80, 24), keys: &[], seen: "healthy" },
    Picture { name: "jobs-80x24", size: (80, 24), keys: &["2"], seen: "running" },
    Picture { name: "phone-45x20", size: (45, 20), keys: &[], seen: "healthy" },
    Picture { name: "phone-node-45x20", size: (45, 20), keys: &["j", "\r"], seen: "cores" },
];

/// The recording, step by step: a walk through the screens, and something that is done and taken back.
const TOUR: [&str; 17] = ["", "j", "j", "\r", "h", "c", "u", "2", "\r", "h", "s", "h", "3", "\r", "h", "5", "1"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, folder, rest @ ..] = arguments.as_slice() else { return Err("usage: pictures PROGRAM FOLDER [SECONDS]".into()) };
    let seconds = rest.first().map_or(Ok(30.0), |text| text.parse::<f64>())?;
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    for picture in &PICTURES {
        let mut terminal = Terminal::open(program, picture.size)?;
        terminal.wait("live")?;
        thread::sleep(Duration::from_secs_f64(seconds));
        for key in picture.keys {
            terminal.press(key)?;
        }
        terminal.wait(picture.seen)?;
        fs::write(folder.join(format!("{}.svg", picture.name)), still(&terminal.screen()))?;
    }
    let mut terminal = Terminal::open(program, (80, 24))?;
    terminal.wait("healthy")?;
    let mut frames = Vec::new();
    for key in TOUR {
        terminal.press(key)?;
        thread::sleep(Duration::from_secs_f64(STEP_SECONDS.min(seconds)));
        frames.push(terminal.screen());
    }
    fs::write(folder.join("tour.svg"), moving(&frames))?;
    fs::write(folder.join("tour.cast"), terminal.recorded())?;
    Ok(())
}

/// What was written, and when.
type Recorded = Vec<(f64, Vec<u8>)>;

struct Shown {
    parser: vt100::Parser,
    recorded: Recorded,
}

struct Terminal {
    program: Child,
    person: File,
    size: (u16, u16),
    shown: Arc<Mutex<Shown>>,
}

impl Terminal {
    fn open(program: &str, (columns, rows): (u16, u16)) -> Result<Terminal> {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&person)?;
        unlockpt(&person)?;
        let line = ioctl_tiocgptpeer(&person, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        tcsetwinsize(&person, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
        let mut command = Command::new("setsid");
        command.args(["--ctty", program, "--demo", "12", "--seed", "5", "--theme", "dark"]);
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").env_remove("NO_MOTION");
        let program = command.stdin(Stdio::from(line.try_clone()?)).stdout(Stdio::from(line.try_clone()?)).stderr(Stdio::from(line)).spawn()?;
        let shown = Arc::new(Mutex::new(Shown { parser: vt100::Parser::new(rows, columns, 0), recorded: Recorded::new() }));
        let (person, written, begun) = (File::from(person), Arc::clone(&shown), Instant::now());
        let mut output = person.try_clone()?;
        thread::spawn(move || {
            let mut bytes = [0; 16 << 10];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let mut shown = written.lock().unwrap_or_else(PoisonError::into_inner);
                shown.parser.process(&bytes[..count]);
                shown.recorded.push((begun.elapsed().as_secs_f64(), bytes[..count].to_vec()));
            }
        });
        Ok(Terminal { program, person, size: (columns, rows), shown })
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        self.person.write_all(keys.as_bytes())?;
        // Whoever types is not faster, and the program draws meanwhile.
        thread::sleep(Duration::from_millis(200));
        Ok(())
    }

    fn screen(&self) -> vt100::Screen {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).parser.screen().clone()
    }

    fn wait(&self, wanted: &str) -> Result<()> {
        let begun = Instant::now();
        while !self.screen().contents().contains(wanted) {
            if begun.elapsed() > PATIENCE {
                return Err(format!("{wanted:?} is not seen:\n{}", self.screen().contents()).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// As asciinema's second format: a header, then a line for each piece of output.
    fn recorded(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let (columns, rows) = self.size;
        let mut text = format!("{}\n", serde_json::json!({ "version": 2, "width": columns, "height": rows, "title": "bitacora --demo 12" }));
        let mut pending: Vec<u8> = Vec::new();
        for (at, bytes) in &shown.recorded {
            pending.extend(bytes);
            // A letter may have come in two pieces.
            let whole = match std::str::from_utf8(&pending) {
                Ok(_) => pending.len(),
                Err(error) => error.valid_up_to(),
            };
            let piece = String::from_utf8_lossy(&pending[..whole]).into_owned();
            pending.drain(..whole);
            writeln!(text, "{}", serde_json::json!([(at * 1000.0).round() / 1000.0, "o", piece])).expect("a string takes everything");
        }
        text
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It puts its terminal in order and removes its folder; nobody waits for ever for it.
        let _ = self.person.write_all(b"\x03");
        let begun = Instant::now();
        while self.program.try_wait().is_ok_and(|ended| ended.is_none()) && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn still(screen: &vt100::Screen) -> String {
    picture(screen.size(), &drawn(screen))
}

/// Every frame in the same place; one of them is seen at a time.
fn moving(frames: &[vt100::Screen]) -> String {
    let seconds = STEP_SECONDS * frames.len() as f64;
    let share = 100.0 / frames.len() as f64;
    let mut inside = format!(
        "<style>.f{{visibility:hidden;animation:f {seconds:.1}s step-end infinite}}@keyframes f{{0%{{visibility:visible}}{share:.3}%{{visibility:hidden}}}}</style>\n"
    );
    for (nth, frame) in frames.iter().enumerate() {
        let delay = STEP_SECONDS * nth as f64;
        writeln!(inside, "<g class=\"f\" style=\"animation-delay:{delay:.1}s\">\n{}</g>", drawn(frame)).expect("a string takes everything");
    }
    picture(frames[0].size(), &inside)
}

fn picture((rows, columns): (u16, u16), inside: &str) -> String {
    let (width, height) = (f64::from(columns) * CELL.0 + 16.0, f64::from(rows) * CELL.1 + 16.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"{FONT}\" \
         font-size=\"14\">\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACKGROUND}\"/>\n<g transform=\"translate(8 8)\" xml:space=\"preserve\" \
         fill=\"{FOREGROUND}\">\n{inside}</g>\n</svg>\n"
    )
}

/// How cells look: colours of text and of what is behind it, and whether the text is bold, dim.
#[derive(Clone, PartialEq)]
struct Look {
    colour: String,
    behind: String,
    bold: bool,
    dim: bool,
}

fn look(cell: &vt100::Cell) -> Look {
    let (mut colour, mut behind) = (hex(cell.fgcolor(), FOREGROUND), hex(cell.bgcolor(), BACKGROUND));
    if cell.inverse() {
        std::mem::swap(&mut colour, &mut behind);
    }
    Look { colour, behind, bold: cell.bold(), dim: cell.dim() }
}

fn hex(colour: vt100::Color, default: &str) -> String {
    match colour {
        vt100::Color::Default => default.to_owned(),
        vt100::Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
        vt100::Color::Idx(number @ 0..16) => COLOURS[usize::from(number)].to_owned(),
        vt100::Color::Idx(number @ 16..232) => {
            let part = |nth: u8| [0, 95, 135, 175, 215, 255][usize::from((number - 16) / nth % 6)];
            format!("#{:02x}{:02x}{:02x}", part(36), part(6), part(1))
        }
        vt100::Color::Idx(number) => format!("#{0:02x}{0:02x}{0:02x}", 8 + 10 * (u32::from(number) - 232)),
    }
}

/// Runs of cells that look the same. Each says how wide it is, so that columns stand where they stood, whatever the font.
fn drawn(screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let mut svg = String::new();
    for row in 0..rows {
        let mut column = 0;
        while let Some(first) = screen.cell(row, column).filter(|_| column < columns) {
            let (wanted, begin, mut text) = (look(first), column, String::new());
            while let Some(cell) = screen.cell(row, column).filter(|cell| column < columns && look(cell) == wanted) {
                text.push_str(if cell.has_contents() || cell.is_wide_continuation() { cell.contents() } else { " " });
                column += 1;
            }
            run(&mut svg, (row, begin, column - begin), &wanted, &text);
        }
    }
    svg
}

fn run(svg: &mut String, (row, begin, cells): (u16, u16, u16), look: &Look, text: &str) {
    let (x, y, width) = (f64::from(begin) * CELL.0, f64::from(row) * CELL.1, f64::from(cells) * CELL.0);
    if look.behind != BACKGROUND {
        writeln!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{}\"/>", CELL.1, look.behind)
            .expect("a string takes everything");
    }
    let mut style = if look.colour == FOREGROUND { String::new() } else { format!(" fill=\"{}\"", look.colour) };
    style.push_str(if look.bold { " font-weight=\"bold\"" } else { "" });
    style.push_str(if look.dim { " opacity=\"0.6\"" } else { "" });
    // Words that stand apart have places of their own.
    let mut place = 0;
    for words in text.split("  ") {
        let (shown, cells) = (words.trim(), words.width());
        if !shown.is_empty() {
            let begin = place + words.width() - words.trim_start().width();
            let (x, y, width) = (x + begin as f64 * CELL.0, y + BASELINE, shown.width() as f64 * CELL.0);
            let escaped = shown.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{width:.1}\"{style}>{escaped}</text>").expect("a string takes everything");
        }
        place += cells + 2;
    }
}
