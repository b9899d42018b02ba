//! `bitacora bench …`: what this fleet can do, measured on itself.

mod analysis;

use std::{io::Write, path::PathBuf, time::Instant};

use anyhow::Context as _;
use bitacora_core::fleet::{NodeSelector, Placement, Priority};
use clap::Subcommand;
use fleet_agent::net::{
    carrier::Carrier,
    measure::{self, Amount},
};
use serde::Serialize;

use super::{
    Context,
    output::{Sink, write_items},
};
use crate::{
    control::{self, Answer, Commission, Request},
    exit::Exit,
    report::{
        Format,
        table::Column,
        text::{counted, grouped},
    },
};

/// How often the master is asked whether the sparks are over: each answer counts them all.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

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
    /// The carriers between two nodes that exist for it, on this machine's loopback: bulk, small requests, connecting
    Link {
        #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536))]
        megabytes: u64,
        #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
        requests: u64,
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
        connects: u16,
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// The analysis of a tree on this machine, anew and with nothing changed: processes of this program, whose results are not kept
    Analysis {
        /// The folder
        path: PathBuf,
        /// As many as there are cores if not given
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
        threads: Option<u32>,
        /// Medians are shown
        #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
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
            BenchCommand::Link { megabytes, requests, connects, output } => {
                let amount = Amount { connects: connects.into(), requests, bulk_bytes: megabytes * 1_000_000 };
                link(context, amount, output)
            }
            BenchCommand::Analysis { path, threads, rounds, output } => analysis::measure(context, &path, threads, rounds, output),
        }
    }
}

fn sparks(context: &Context, count: u32, output: Option<Format>) -> anyhow::Result<Exit> {
    let ask = |request: &Request| control::ask(&context.data.control(), request).context("cannot ask the bitacora that serves");
    let master = context.data.holder();
    let (before, begun) = (master.and_then(|master| cpu_seconds(master, Of::Itself)), Instant::now());
    let (priority, placement, nodes) = (Priority::Normal, Placement::default(), NodeSelector::default());
    let wish = Commission { sparks: count, priority, after: Vec::new(), command: None, placement, nodes };
    let job = match ask(&Request::Run(Box::new(wish)))? {
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
    let (elapsed, after) = (begun.elapsed().as_secs_f64(), master.and_then(|master| cpu_seconds(master, Of::Itself)));
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
        writeln!(out, "{} in {elapsed:.2} s: {} a second{cpu}", counted(count.into(), "spark"), grouped(measured.per_second))?;
        out.close()?;
        return Ok(Exit::Ok);
    }
    let row =
        vec![count.to_string(), format!("{elapsed:.3}"), measured.per_second.to_string(), each.map_or_else(|| "-".to_owned(), |each| format!("{each:.2}"))];
    let columns = [Column::Number("Sparks"), Column::Number("Seconds"), Column::Number("Per second"), Column::Number("Master CPU µs")];
    write_items(context, Some(format), "bench", &[measured], &columns, vec![row], |_| "sparks")
}

#[derive(Serialize)]
struct MeasuredLink {
    carrier: &'static str,
    bulk_mb_per_second: f64,
    requests_per_second: u64,
    requests_in_flight: u64,
    connect_seconds: f64,
}

fn link(context: &Context, amount: Amount, output: Option<Format>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the network's threads")?;
    let measured = |carrier| -> anyhow::Result<MeasuredLink> {
        let figures = runtime.block_on(measure::link(carrier, amount))?;
        Ok(MeasuredLink {
            carrier: carrier.name(),
            bulk_mb_per_second: (figures.bulk_bytes_per_second / 1e4).round() / 100.0,
            requests_per_second: figures.requests_per_second as u64,
            requests_in_flight: measure::IN_FLIGHT,
            connect_seconds: figures.connect.as_secs_f64(),
        })
    };
    let items = Carrier::ALL.into_iter().map(measured).collect::<anyhow::Result<Vec<_>>>()?;
    let row = |item: &MeasuredLink| {
        let milliseconds = format!("{:.2}", item.connect_seconds * 1e3);
        vec![item.carrier.to_owned(), format!("{:.1}", item.bulk_mb_per_second), item.requests_per_second.to_string(), milliseconds]
    };
    let columns = [Column::Text("Carrier"), Column::Number("Bulk MB/s"), Column::Number("Requests/s"), Column::Number("Connect ms")];
    let rows = items.iter().map(row).collect();
    write_items(context, output, "bench-link", &items, &columns, rows, |item| item.carrier)
}

/// Whose time is meant.
#[derive(Clone, Copy)]
enum Of {
    Itself,
    /// Those that have ended and were waited for.
    Children,
}

/// User and system time of a process (proc(5), fields 14 to 17), in seconds.
fn cpu_seconds(process: u32, of: Of) -> Option<f64> {
    let first = match of {
        Of::Itself => 11,
        Of::Children => 13,
    };
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let after_name: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = after_name.get(first)?.parse::<u64>().ok()? + after_name.get(first + 1)?.parse::<u64>().ok()?;
    // Linux counts in hundredths of a second towards programs, whatever its own clock does.
    Some(ticks as f64 / 100.0)
}
