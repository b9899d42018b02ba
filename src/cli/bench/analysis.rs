//! `bitacora bench analysis PATH`: a tree analysed by processes of this program, anew and again with nothing changed.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::Value;

use super::{Of, cpu_seconds};
use crate::{
    cli::{
        Context,
        output::{Sink, write_items},
    },
    exit::Exit,
    report::{
        Format,
        table::Column,
        text::{counted, grouped},
    },
};

#[derive(Serialize)]
struct MeasuredAnalysis {
    files: u64,
    lines: u64,
    bytes: u64,
    threads: u32,
    rounds: u32,
    /// Of the run whose wall time is the median, the whole process.
    cold_seconds: f64,
    cold_cpu_seconds: Option<f64>,
    warm_seconds: f64,
    warm_cpu_seconds: Option<f64>,
    cold_lines_per_second: u64,
}

/// What one run took.
#[derive(Clone, Copy)]
struct Took {
    wall: f64,
    /// Not told where there is no proc(5).
    cpu: Option<f64>,
}

pub(super) fn measure(context: &Context, tree: &Path, threads: Option<u32>, rounds: u32, output: Option<Format>) -> anyhow::Result<Exit> {
    let tree = std::fs::canonicalize(tree).with_context(|| format!("cannot find {}", tree.display()))?;
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32));
    let (mut cold, mut warm, mut totals) = (Vec::new(), Vec::new(), Value::Null);
    for _ in 0..rounds {
        // On the disk that results would lie on; nothing that was known helps, and nothing of this is kept.
        let place = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(context.data.root())
            .with_context(|| format!("cannot make a folder in {}", context.data.root().display()))?;
        let run = |arguments: &[&str]| run(place.path(), arguments);
        let (threads, tree) = (threads.to_string(), tree.to_str().context("the path of the tree is no UTF-8")?);
        let analyze = ["analyze", "--threads", &threads, "-o", "name", "--", tree];
        cold.push(run(&analyze)?.0);
        warm.push(run(&analyze)?.0);
        totals = serde_json::from_slice(&run(&["project", "show", "-o", "json"])?.1).context("what `project show` says cannot be read")?;
    }
    let total = |name: &str| totals.pointer(&format!("/items/0/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let (cold, warm) = (median(cold), median(warm));
    let lines = total("results/0/lines");
    let measured = MeasuredAnalysis {
        files: total("results/0/files"),
        lines,
        bytes: total("summary/bytes"),
        threads,
        rounds,
        cold_seconds: cold.wall,
        cold_cpu_seconds: cold.cpu,
        warm_seconds: warm.wall,
        warm_cpu_seconds: warm.cpu,
        cold_lines_per_second: (lines as f64 / cold.wall) as u64,
    };
    let format = Format::or_for(output, context.streams.stdout_is_terminal);
    if matches!(format, Format::Table | Format::Wide) {
        return tell(&measured);
    }
    let MeasuredAnalysis { cold_lines_per_second, files, .. } = measured;
    let seconds =
        [Some(cold.wall), cold.cpu, Some(warm.wall), warm.cpu].map(|seconds| seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.3}")));
    let row = [files.to_string(), lines.to_string()].into_iter().chain(seconds).chain([cold_lines_per_second.to_string()]).collect();
    let columns = ["Files", "Lines", "Cold seconds", "Cold CPU seconds", "Warm seconds", "Warm CPU seconds", "Cold lines per second"].map(Column::Number);
    write_items(context, Some(format), "bench-analysis", &[measured], &columns, vec![row], |_| "analysis")
}

fn tell(measured: &MeasuredAnalysis) -> anyhow::Result<Exit> {
    let MeasuredAnalysis { files, lines, bytes, threads, .. } = measured;
    let mut out = Sink::open(None)?;
    let (files, threads) = (counted(*files, "file"), counted(u64::from(*threads), "thread"));
    writeln!(out, "{files}, {} lines, {:.1} MB, {threads}", grouped(*lines), *bytes as f64 / 1e6)?;
    let (wall, cpu) = (measured.cold_seconds, measured.cold_cpu_seconds);
    let of_cpu = |cpu: Option<f64>| cpu.map_or_else(String::new, |cpu| format!(", {cpu:.2} s of CPU"));
    writeln!(out, "anew             {wall:.2} s{}: {} lines a second", of_cpu(cpu), grouped(measured.cold_lines_per_second))?;
    writeln!(out, "nothing changed  {:.2} s{}", measured.warm_seconds, of_cpu(measured.warm_cpu_seconds))?;
    out.close()?;
    Ok(Exit::Ok)
}

/// A process of this program with a data directory of its own; with what it printed.
fn run(data: &Path, arguments: &[&str]) -> anyhow::Result<(Took, Vec<u8>)> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(data).args(arguments).stdin(Stdio::null());
    let (before, begun) = (cpu_seconds(std::process::id(), Of::Children), Instant::now());
    let output = command.output().context("cannot start this program again")?;
    let (wall, after) = (begun.elapsed().as_secs_f64(), cpu_seconds(std::process::id(), Of::Children));
    // 3: some files could not be read, which is no failure of a measurement.
    if !matches!(output.status.code(), Some(0 | 3)) {
        bail!("`bitacora {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    let cpu = before.zip(after).map(|(before, after)| after - before);
    Ok((Took { wall, cpu }, output.stdout))
}

fn median(mut took: Vec<Took>) -> Took {
    took.sort_by(|one, other| one.wall.total_cmp(&other.wall));
    took[took.len() / 2]
}
