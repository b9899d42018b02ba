//! `bitacora bench …`: what this fleet can do, measured on itself.

use std::{io::Write, time::Instant};

use anyhow::Context as _;
use bitacora_core::fleet::Priority;
use clap::Subcommand;
use serde::Serialize;

use super::{
    Context,
    output::{Sink, write_items},
};
use crate::{
    control::{self, Answer, Commission, Request},
    exit::Exit,
    report::{Format, table::Column, text::grouped},
};

/// How often the master is asked whether the sparks are over.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(10);

/// Measures what the fleet can do
#[derive(Subcommand)]
pub(super) enum BenchCommand {
    /// Sparks without work, through the journal, the links and the slots of the nodes and back
    Sparks {
        #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        count: u32,
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
}

#[derive(Serialize)]
struct Measured {
    sparks: u32,
    seconds: f64,
    per_second: u64,
    /// Of the master's process, while they ran.
    master_cpu_seconds: Option<f64>,
    master_cpu_microseconds_each: Option<f64>,
}

impl BenchCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            BenchCommand::Sparks { count, output } => sparks(context, count, output),
        }
    }
}

fn sparks(context: &Context, count: u32, output: Option<Format>) -> anyhow::Result<Exit> {
    let ask = |request: &Request| control::ask(&context.data.control(), request).context("cannot ask the bitacora that serves");
    let master = context.data.holder();
    let (before, begun) = (master.and_then(cpu_seconds), Instant::now());
    let wish = Commission { sparks: count, priority: Priority::Normal, after: Vec::new(), command: None };
    let job = match ask(&Request::Run(wish))? {
        None => {
            context.streams.note("no bitacora serves; start one with `bitacora serve`, and nodes that it can give the sparks to");
            return Ok(Exit::Unreachable);
        }
        Some(Answer::Accepted { job, .. }) => job,
        Some(answer) => return Ok(context.streams.conclude(&answer)),
    };
    loop {
        match ask(&Request::Progress { job })? {
            Some(Answer::Progress(progress)) if progress.over => break,
            Some(Answer::Progress(_) | Answer::Busy) => {}
            Some(answer) => return Ok(context.streams.conclude(&answer)),
            None => return Ok(Exit::Unreachable),
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let (elapsed, after) = (begun.elapsed().as_secs_f64(), master.and_then(cpu_seconds));
    let spent = before.zip(after).map(|(before, after)| after - before);
    let each = spent.map(|seconds| seconds * 1e6 / f64::from(count));
    let measured = Measured {
        sparks: count,
        seconds: elapsed,
        per_second: (f64::from(count) / elapsed) as u64,
        master_cpu_seconds: spent,
        master_cpu_microseconds_each: each,
    };
    let format = Format::or_for(output, context.streams.stdout_is_terminal);
    if matches!(format, Format::Table | Format::Wide) {
        let mut out = Sink::open(None)?;
        let cpu = each.map_or_else(String::new, |each| format!(", {each:.1} µs of the master's CPU each"));
        writeln!(out, "{} sparks in {elapsed:.2} s: {} a second{cpu}", grouped(count.into()), grouped(measured.per_second))?;
        out.close()?;
        return Ok(Exit::Ok);
    }
    let row =
        vec![count.to_string(), format!("{elapsed:.3}"), measured.per_second.to_string(), each.map_or_else(|| "-".to_owned(), |each| format!("{each:.2}"))];
    let columns = [Column::Number("Sparks"), Column::Number("Seconds"), Column::Number("Per second"), Column::Number("Master CPU µs")];
    write_items(context, Some(format), "bench", &[measured], &columns, vec![row], |_| "sparks")
}

/// User and system time of a process (proc(5), fields 14 and 15), in seconds.
fn cpu_seconds(process: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let after_name: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = after_name.get(11)?.parse::<u64>().ok()? + after_name.get(12)?.parse::<u64>().ok()?;
    // Linux counts in hundredths of a second towards programs, whatever its own clock does.
    Some(ticks as f64 / 100.0)
}
