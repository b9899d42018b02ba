//! `bitacora node ls`.

use std::thread;

use bitacora_core::{time::Span, wire::node::Labels};
use clap::Args;
use serde::Serialize;

use super::{Context, UsageError, nodes, operators, write_items};
use crate::{
    cli::{
        Elsewhere,
        output::{Sink, write_document},
    },
    control::{self, Answer, Cause, NodeState, OperatorState, Request, relay::Line, remote::Device},
    exit::Exit,
    report::{
        Format,
        table::Column,
        text::{bytes, timestamp},
    },
    tui::asked::HERE,
};

/// Lists the nodes that belong to the fleet
#[derive(Args)]
pub(in crate::cli) struct Ls {
    /// The devices of people instead, and what each may do
    #[arg(long)]
    operators: bool,
    /// Of every fleet that this device has joined, and of its own, in one table
    #[arg(long, conflicts_with = "operators")]
    all_fleets: bool,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

/// As it stands in JSON, here and in `node show`.
#[derive(Serialize)]
pub(super) struct NodeItem {
    /// Where several fleets are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    fleet: Option<String>,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) role: String,
    pub(super) availability: String,
    cause: Option<CauseItem>,
    pub(super) health: String,
    linked: bool,
    pub(super) slots: u32,
    pub(super) sparks: u32,
    /// That those are about.
    projects: Vec<String>,
    cores: u32,
    cpu_permille: u16,
    memory_bytes: u64,
    memory_available_bytes: u64,
    pub(super) labels: Labels,
    paired_at: String,
    pub(super) version: String,
    address: Option<String>,
    round_trip_seconds: Option<f64>,
}

/// A fleet whose nodes should have been among the others.
#[derive(Serialize)]
struct Silent {
    fleet: String,
    reason: String,
}

/// Why a node is given nothing.
#[derive(Serialize)]
struct CauseItem {
    kind: &'static str,
    at: String,
    reason: Option<String>,
}

impl From<Cause> for CauseItem {
    fn from(cause: Cause) -> CauseItem {
        let (kind, at, reason) = match cause {
            Cause::Draining { until } => ("draining", until, None),
            Cause::Drained { at } => ("drained", at, None),
            Cause::Stopped { at, reason } => ("stopped", at, Some(reason)),
        };
        CauseItem { kind, at: timestamp(at), reason }
    }
}

impl From<NodeState> for NodeItem {
    fn from(node: NodeState) -> NodeItem {
        NodeItem {
            fleet: None,
            id: node.id,
            name: node.name,
            role: node.role,
            availability: node.availability,
            cause: node.cause.map(CauseItem::from),
            health: node.health,
            linked: node.linked,
            slots: node.slots,
            sparks: node.sparks,
            projects: node.projects,
            cores: node.cores,
            cpu_permille: node.cpu_permille,
            memory_bytes: node.memory_bytes,
            memory_available_bytes: node.memory_available_bytes,
            labels: node.labels,
            paired_at: timestamp(node.paired_at),
            version: node.version,
            address: node.address,
            round_trip_seconds: node.round_trip.map(Span::as_secs_f64),
        }
    }
}

impl Ls {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.operators {
            return list_operators(context, self.output);
        }
        if self.all_fleets {
            return self.list_all_fleets(context);
        }
        let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
        self.write(context, &nodes.into_iter().map(NodeItem::from).collect::<Vec<_>>())
    }

    /// All are asked at the same time: one that is out of reach keeps nobody waiting twice.
    fn list_all_fleets(&self, context: &Context) -> anyhow::Result<Exit> {
        if let Some(Elsewhere::Line(_)) = context.remote {
            return Err(UsageError("--connect names one fleet, --all-fleets means all of them".to_owned()).into());
        }
        let devices = Device::all(&context.data.fleets())?;
        let own = control::ask(&context.data.control(), &Request::Nodes).map_err(anyhow::Error::from).transpose().map(|answer| (HERE.to_owned(), answer));
        if devices.is_empty() && own.is_none() {
            context.streams.note("this device has joined no fleet (`bitacora join`), and no bitacora serves here");
            return Ok(Exit::NoMatch);
        }
        let ask = |device: Device| {
            let name = device.name.clone();
            thread::spawn(move || (name, Line::to(device).ask(&Request::Nodes).map_err(anyhow::Error::from)))
        };
        let asked: Vec<_> = devices.into_iter().map(ask).collect();
        let answers = own.into_iter().chain(asked.into_iter().map(|asked| asked.join().expect("asking does not panic")));
        let (mut items, mut silent, mut heard) = (Vec::new(), Vec::new(), 0);
        for (fleet, answer) in answers {
            match answer {
                Ok(Answer::Nodes(nodes)) => {
                    heard += 1;
                    items.extend(nodes.into_iter().map(|node| NodeItem { fleet: Some(fleet.clone()), ..NodeItem::from(node) }));
                }
                Ok(Answer::Refused(reason) | Answer::Unknown(reason)) => silent.push(Silent { fleet, reason }),
                Ok(_) => silent.push(Silent { fleet, reason: "it is busy, or of another version".to_owned() }),
                Err(error) => silent.push(Silent { fleet, reason: format!("{error:#}") }),
            }
        }
        silent.iter().for_each(|silent| context.streams.note(&format!("{}: {}", silent.fleet, silent.reason)));
        if let Format::Json = Format::or_for(self.output, context.streams.stdout_is_terminal) {
            let mut out = Sink::open(None)?;
            write_document(&mut out, "nodes", &items, &silent)?;
            out.close()?;
        } else {
            self.write(context, &items)?;
        }
        Ok(match (heard, silent.len()) {
            (_, 0) => Exit::Ok,
            (0, _) => Exit::Unreachable,
            _ => Exit::Partial,
        })
    }

    fn write(&self, context: &Context, items: &[NodeItem]) -> anyhow::Result<Exit> {
        let format = Format::or_for(self.output, context.streams.stdout_is_terminal);
        let more = !matches!(format, Format::Table);
        // Who reads columns with a program is told their units.
        let [cpu, memory] = if format == Format::Plain { ["CPU permille", "Memory used bytes"] } else { ["CPU", "Memory"] };
        let mut columns: Vec<Column> = if self.all_fleets { vec![Column::Text("Fleet")] } else { Vec::new() };
        columns.extend([
            Column::Text("Name"),
            Column::Text("Health"),
            Column::Text("Availability"),
            Column::Number(cpu),
            Column::Number(memory),
            Column::Number("Sparks"),
            Column::Number("Slots"),
            Column::Text("Labels"),
        ]);
        if more {
            columns.extend([Column::Text("Id"), Column::Number("Cores"), Column::Text("Paired"), Column::Text("Role")]);
            columns.extend([
                Column::Text("Version"),
                Column::Text("Address"),
                Column::Number(if format == Format::Plain { "Latency seconds" } else { "Latency" }),
            ]);
        }
        let row = |item: &NodeItem| {
            let mut row: Vec<String> = item.fleet.iter().cloned().collect();
            row.extend([item.name.clone(), item.health.clone(), if format == Format::Plain { item.availability.clone() } else { item.available() }]);
            row.extend([item.cpu(format), item.memory(format), item.sparks.to_string(), item.slots.to_string(), labels(&item.labels)]);
            if more {
                row.extend([item.id.clone(), item.cores.to_string(), item.paired_at.clone(), item.role.clone()]);
                row.extend([item.version.clone(), item.address.clone().unwrap_or_default(), item.latency(format)]);
            }
            row
        };
        let rows = items.iter().map(row).collect();
        write_items(context, Some(format), "nodes", items, &columns, rows, |item| &item.name)
    }
}

/// A person's device, as it stands in JSON.
#[derive(Serialize)]
struct OperatorItem {
    id: String,
    name: String,
    right: &'static str,
    permitted: &'static str,
    /// That its right is about alone; empty for everything.
    projects: Vec<String>,
    paired_at: String,
}

fn list_operators(context: &Context, output: Option<Format>) -> anyhow::Result<Exit> {
    let Some(operators) = operators(context)? else { return Ok(Exit::Unreachable) };
    let item = |operator: OperatorState| OperatorItem {
        id: operator.id.to_string(),
        name: operator.name,
        right: operator.right.name(),
        permitted: operator.permitted.name(),
        projects: operator.projects,
        paired_at: timestamp(operator.paired_at),
    };
    let items: Vec<OperatorItem> = operators.into_iter().map(item).collect();
    let columns =
        [Column::Text("Name"), Column::Text("Right"), Column::Text("Permitted"), Column::Text("Projects"), Column::Text("Id"), Column::Text("Paired")];
    let row = |item: &OperatorItem| {
        let projects = if item.projects.is_empty() { "all".to_owned() } else { item.projects.join(",") };
        vec![item.name.clone(), item.right.to_owned(), item.permitted.to_owned(), projects, item.id.clone(), item.paired_at.clone()]
    };
    let rows = items.iter().map(row).collect();
    write_items(context, output, "operators", &items, &columns, rows, |item| &item.name)
}

impl NodeItem {
    /// Of a node that has not told yet there is nothing to show.
    fn cpu(&self, format: Format) -> String {
        match format {
            Format::Plain => self.cpu_permille.to_string(),
            _ if self.memory_bytes == 0 => "-".to_owned(),
            _ => percent(self.cpu_permille),
        }
    }

    fn latency(&self, format: Format) -> String {
        match self.round_trip_seconds {
            None => String::new(),
            Some(seconds) if format == Format::Plain => seconds.to_string(),
            Some(0.0) => "<1 ms".to_owned(),
            Some(seconds) => format!("{:.0} ms", seconds * 1e3),
        }
    }

    /// In use.
    pub(super) fn memory(&self, format: Format) -> String {
        let used = self.memory_bytes.saturating_sub(self.memory_available_bytes);
        match format {
            Format::Plain => used.to_string(),
            _ if self.memory_bytes == 0 => "-".to_owned(),
            _ => format!("{} of {}", bytes(used), bytes(self.memory_bytes)),
        }
    }

    /// With the reason.
    pub(super) fn available(&self) -> String {
        match &self.cause {
            None => self.availability.clone(),
            Some(CauseItem { kind: "draining", at, .. }) => format!("draining until {at}"),
            Some(CauseItem { kind, reason: None, .. }) => format!("{} ({kind})", self.availability),
            Some(CauseItem { kind, reason: Some(reason), .. }) => format!("{} ({kind}: {reason})", self.availability),
        }
    }

    pub(super) fn cpu_of_cores(&self) -> String {
        format!("{} of {} cores", self.cpu(Format::Table), self.cores)
    }
}

pub(super) fn percent(permille: u16) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

pub(super) fn labels(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| if value.is_empty() { key.clone() } else { format!("{key}={value}") }).collect::<Vec<_>>().join(",")
}
