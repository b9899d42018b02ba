//! Commands that read results which lie with a master elsewhere: its machine makes the report, and this one prints it.

use std::{
    io::{BufRead, Write},
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::ValueEnum;

use super::{Context, output::Sink};
use crate::{
    control::{
        Answer, Request,
        report::{Report, ReportWish},
    },
    exit::Exit,
    report::{AnalysisFormat, Format, table::Target},
};

/// Between two looks at a report that nothing was written of.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A master makes a few reports at a time.
const BUSY_MAX: Duration = Duration::from_secs(10);
/// Of a line that does not end.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A report that is being made elsewhere. Dropped before its end, it is taken back.
pub(super) struct Reporting<'c> {
    context: &'c Context,
    number: u64,
    format: AnalysisFormat,
}

impl Drop for Reporting<'_> {
    fn drop(&mut self) {
        // Whom nobody asks for a minute ends it as well.
        let _ = self.context.ask(&Request::EndReport { report: self.number });
    }
}

/// Has it made; otherwise the answer says why not.
pub(super) fn begin<'c>(context: &'c Context, sink: &Sink, report: Report, output: Option<AnalysisFormat>) -> anyhow::Result<Result<Reporting<'c>, Answer>> {
    let format = AnalysisFormat::or_for(output, context.streams.stdout_is_terminal && matches!(sink, Sink::Stdout(_)));
    let name = format.to_possible_value().expect("every format has a name").get_name().to_owned();
    let wish = ReportWish { report, format: name, is_colored: sink.is_colored() };
    let begun = Instant::now();
    loop {
        match context.ask(&Request::Report(wish.clone()))? {
            Some(Answer::Reporting { report }) => return Ok(Ok(Reporting { context, number: report, format })),
            Some(Answer::Busy) if begun.elapsed() < BUSY_MAX => thread::sleep(LOOK_EVERY),
            Some(answer) => return Ok(Err(answer)),
            None => bail!("the master elsewhere does not answer"),
        }
    }
}

/// Prints it; with the exit code of what made it.
pub(super) fn print(context: &Context, sink: Sink, reporting: &Reporting<'_>) -> anyhow::Result<Exit> {
    let (mut out, mut said) = (Printed::new(sink, context, reporting.format), Lines::default());
    let mut number = 1;
    loop {
        let part = match context.ask(&Request::ReportPart { report: reporting.number, part: number })? {
            Some(Answer::Part(part)) => part,
            // It may have been made, and its answer not have come.
            Some(Answer::Busy) => {
                thread::sleep(LOOK_EVERY);
                continue;
            }
            Some(answer) => return Ok(context.streams.conclude(&answer)),
            None => bail!("the master elsewhere does not answer any more"),
        };
        number += 1;
        out.write(&part.bytes)?;
        said.take(&part.said, |line| {
            context.streams.note(&String::from_utf8_lossy(line));
            Ok(())
        })?;
        if let Some(exit) = part.exit {
            said.end(|line| {
                context.streams.note(&String::from_utf8_lossy(line));
                Ok(())
            })?;
            out.close()?;
            return Ok(Exit::of_code(exit));
        }
        if part.bytes.is_empty() && part.said.is_empty() {
            out.sink.flush()?;
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Both, for a command that has nothing else to do.
pub(super) fn report(context: &Context, report: Report, output: Option<Format>) -> anyhow::Result<Exit> {
    let sink = Sink::open(None)?;
    match begin(context, &sink, report, output.map(AnalysisFormat::Common))? {
        Ok(reporting) => print(context, sink, &reporting),
        Err(answer) => Ok(context.streams.conclude(&answer)),
    }
}

/// Where a report goes. Names are told a terminal line by line: what made them did not know that there is one.
struct Printed {
    sink: Sink,
    names: Option<Lines>,
}

impl Printed {
    fn new(sink: Sink, context: &Context, format: AnalysisFormat) -> Printed {
        let is_shown = format == AnalysisFormat::Common(Format::Name) && context.streams.stdout_is_terminal && matches!(sink, Sink::Stdout(_));
        Printed { sink, names: is_shown.then(Lines::default) }
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let Printed { sink, names } = self;
        match names {
            Some(names) => names.take(bytes, |line| Ok(sink.name(line)?)),
            None => Ok(sink.write_all(bytes)?),
        }
    }

    fn close(self) -> anyhow::Result<()> {
        let Printed { mut sink, names } = self;
        if let Some(names) = names {
            names.end(|line| Ok(sink.name(line)?))?;
        }
        sink.close()
    }
}

/// Bytes that are cut into lines as they come.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn take(&mut self, mut bytes: &[u8], mut tell: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.begun.len();
            let (rest, limit) = (&mut bytes, room as u64);
            std::io::Read::take(rest, limit).read_until(b'\n', &mut self.begun)?;
            if self.begun.ends_with(b"\n") {
                self.begun.pop();
            } else if self.begun.len() < LINE_BYTES_MAX {
                return Ok(());
            }
            tell(&self.begun)?;
            self.begun.clear();
        }
        Ok(())
    }

    fn end(self, mut tell: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if self.begun.is_empty() { Ok(()) } else { tell(&self.begun) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let (mut lines, mut told) = (Lines::default(), Vec::new());
        for bytes in [&b"on"[..], b"e\ntwo\n\nth", b"ree"] {
            lines.take(bytes, |line| Ok(told.write_all(&[line, b"|"].concat())?)).unwrap();
        }
        lines.end(|line| Ok(told.write_all(line)?)).unwrap();
        assert_eq!(told, b"one|two||three");
    }

    #[test]
    fn a_line_without_an_end_is_told_in_pieces() {
        let (mut lines, mut told) = (Lines::default(), Vec::new());
        let tell = |line: &[u8]| {
            told.push(line.len());
            Ok(())
        };
        lines.take(&vec![b'x'; 2 * LINE_BYTES_MAX + 7], tell).unwrap();
        assert_eq!((told, lines.begun.len()), (vec![LINE_BYTES_MAX; 2], 7));
    }
}
