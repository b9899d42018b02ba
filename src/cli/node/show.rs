//! `bitacora node show`.

use bitacora_core::time::Span;
use clap::Args;
use serde::Serialize;

use super::{
    Context, ask, find,
    ls::{NodeItem, labels, percent},
    nodes, write_items,
};
use crate::{
    control::{Answer, LinkState, NodeDetail, Request},
    exit::Exit,
    master,
    report::{
        Format,
        table::Column,
        text::{bytes, counted, seconds, timestamp},
    },
};

/// Shows what a node is, how loaded and how healthy it is, what it holds and how it did
///
/// What it did is counted since the master began.
#[derive(Args)]
pub(in crate::cli) struct Show {
    /// Its name or id
    node: String,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Serialize)]
struct DetailItem {
    #[serde(flatten)]
    node: NodeItem,
    link: Option<LinkItem>,
    /// Where this master calls it when it has no link.
    called_at: Vec<String>,
    health_since: Option<String>,
    /// It beats, and nothing of what it analyses has moved since then.
    stalled_since: Option<String>,
    host: String,
    os: String,
    arch: String,
    gpus: u32,
    build: String,
    specialisations: Vec<String>,
    /// Whose work it does, as its owner has it; empty where everybody's.
    only_projects: Vec<String>,
    only_devices: Vec<String>,
    /// Keys of its configuration that can be pushed.
    changeable: Vec<String>,
    cores_permille: Vec<u16>,
    disk_bytes: u64,
    disk_free_bytes: u64,
    received_bytes_per_second: u64,
    sent_bytes_per_second: u64,
    from_master_bytes: u64,
    from_neighbours_bytes: u64,
    to_neighbours_bytes: u64,
    temperature_millicelsius: Option<i32>,
    running_seconds: u64,
    /// By the node, since then.
    refused: u64,
    holds: Vec<HeldItem>,
    finished: u64,
    failed: u64,
    failed_permille: u16,
    bytes: u64,
    bytes_per_second: u64,
    average_seconds: f64,
    /// Commands that it could not carry out.
    unsupported: u64,
}

#[derive(Serialize)]
struct LinkItem {
    carrier: String,
    address: String,
    round_trip_seconds: Option<f64>,
    #[serde(skip)]
    in_words: String,
}

#[derive(Serialize)]
struct HeldItem {
    spark: String,
    attempt: u32,
    since: String,
    #[serde(skip)]
    seconds: f64,
}

impl Show {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
        let Some(node) = find(context, &nodes, &self.node) else { return Ok(Exit::NoMatch) };
        let detail = match ask(context, &Request::NodeDetail { node })? {
            None => return Ok(Exit::Unreachable),
            Some(Answer::Node(detail)) => *detail,
            Some(answer) => return Ok(context.streams.conclude(&answer)),
        };
        let item = DetailItem::from(detail);
        let rows = item.rows();
        write_items(context, self.output, "node", &[item], &[Column::Text("What"), Column::Text("Value")], rows, |item| &item.node.name)
    }
}

impl From<LinkState> for LinkItem {
    fn from(link: LinkState) -> LinkItem {
        let in_words = link.in_words();
        LinkItem { carrier: link.carrier, address: link.address, round_trip_seconds: link.round_trip.map(Span::as_secs_f64), in_words }
    }
}

impl From<NodeDetail> for DetailItem {
    fn from(
        NodeDetail {
            state,
            profile,
            load,
            link,
            called_at,
            health_since,
            stalled_since,
            holds,
            finished,
            failed,
            failed_permille,
            bytes,
            bytes_per_second,
            average,
            unsupported,
        }: NodeDetail,
    ) -> DetailItem {
        let now = master::now();
        let held = |held: crate::control::HeldSpark| HeldItem {
            spark: held.spark.to_string(),
            attempt: held.attempt,
            since: timestamp(held.since),
            seconds: (now - held.since).as_secs_f64(),
        };
        DetailItem {
            node: NodeItem::from(state),
            link: link.map(LinkItem::from),
            called_at: called_at.iter().map(ToString::to_string).collect(),
            health_since: health_since.map(timestamp),
            stalled_since: stalled_since.map(timestamp),
            host: profile.host,
            os: profile.os,
            arch: profile.arch,
            gpus: profile.gpus,
            build: profile.build,
            specialisations: profile.specialisations,
            only_projects: profile.accepts.projects,
            only_devices: profile.accepts.devices,
            changeable: profile.changeable,
            cores_permille: load.cores_permille,
            disk_bytes: load.disk_bytes,
            disk_free_bytes: load.disk_free_bytes,
            received_bytes_per_second: load.received_bytes_per_second,
            sent_bytes_per_second: load.sent_bytes_per_second,
            from_master_bytes: load.from_master_bytes,
            from_neighbours_bytes: load.from_neighbours_bytes,
            to_neighbours_bytes: load.to_neighbours_bytes,
            temperature_millicelsius: load.temperature_millicelsius,
            running_seconds: load.running.0 / 1_000_000,
            refused: load.refused,
            holds: holds.into_iter().map(held).collect(),
            finished,
            failed,
            failed_permille,
            bytes,
            bytes_per_second,
            average_seconds: average.as_secs_f64(),
            unsupported,
        }
    }
}

impl DetailItem {
    fn brought(&self) -> String {
        let [master, neighbours, given] = [self.from_master_bytes, self.from_neighbours_bytes, self.to_neighbours_bytes].map(bytes);
        format!("{master} by the master, {neighbours} by neighbours; {given} to neighbours")
    }

    /// For people.
    fn rows(&self) -> Vec<Vec<String>> {
        let since = self.health_since.as_ref().map_or_else(String::new, |since| format!(" since {since}"));
        let nowhere = self.stalled_since.as_ref().map_or_else(String::new, |since| format!("; it beats, and gets nowhere since {since}"));
        let cores = self.cores_permille.iter().map(|core| percent(*core)).collect::<Vec<_>>().join("  ");
        let celsius = self.temperature_millicelsius.map_or_else(|| "-".to_owned(), |milli| format!("{:.1} °C", f64::from(milli) / 1e3));
        let node = &self.node;
        let mut rows = vec![
            ("name", format!("{} ({})", node.name, node.id)),
            ("role", node.role.clone()),
            ("health", format!("{}{since}{nowhere}", node.health)),
            ("availability", node.available()),
            ("link", self.link.as_ref().map_or_else(|| "none".to_owned(), |link| link.in_words.clone())),
            ("called at", self.called_at.join(", ")),
            ("labels", labels(&node.labels)),
            ("specialisations", self.specialisations.join(", ")),
            ("only projects", self.only_projects.join(", ")),
            ("only devices", self.only_devices.join(", ")),
            ("changeable", self.changeable.join(", ")),
            ("host", self.host.clone()),
            ("system", format!("{}, {}", self.os, self.arch)),
            ("program", format!("{} (build {})", self.node.version, self.build)),
            ("cpu", node.cpu_of_cores()),
            ("cores", cores),
            ("memory", node.memory(Format::Table)),
            ("disk", format!("{} free of {}", bytes(self.disk_free_bytes), bytes(self.disk_bytes))),
            ("network", format!("{}/s in, {}/s out", bytes(self.received_bytes_per_second), bytes(self.sent_bytes_per_second))),
            ("brought", self.brought()),
            ("temperature", celsius),
            ("gpus", self.gpus.to_string()),
            ("running", seconds(self.running_seconds as f64)),
            ("sparks", format!("{} held, {}", node.sparks, counted(node.slots.into(), "slot"))),
            ("finished", format!("{}, {}, on average {}", counted(self.finished, "spark"), bytes(self.bytes), seconds(self.average_seconds))),
            ("throughput", format!("{}/s a slot", bytes(self.bytes_per_second))),
            ("failed", format!("{}, {}", counted(self.failed, "spark"), percent(self.failed_permille))),
            ("unsupported", counted(self.unsupported, "command")),
            ("refused", counted(self.refused, "command")),
        ];
        rows.extend(self.holds.iter().map(|held| ("holds", format!("{} attempt {}, for {}", held.spark, held.attempt, seconds(held.seconds)))));
        rows.into_iter().map(|(what, value)| vec![what.to_owned(), value]).collect()
    }
}
