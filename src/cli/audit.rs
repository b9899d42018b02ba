//! `bitacora audit …`: what was done that concerns the fleet's safety, and whether the record of it is whole.

use std::{collections::BTreeMap, io::Write};

use anyhow::bail;
use bitacora_core::fleet::{Action, AuditRecord, Outcome};
use clap::Subcommand;
use serde::Serialize;

use super::{
    Context,
    output::{Sink, write_items},
};
use crate::{
    control::{Answer, Request},
    exit::Exit,
    journal::{
        Journal,
        audit::{self, Link},
    },
    report::{
        Format,
        table::Column,
        text::{counted, harmless, timestamp},
    },
};

/// Who had what done: nodes joined and removed, tokens, refused connections
#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Lists the records, the oldest first
    Ls {
        /// Only so many, the newest
        #[arg(long, value_name = "N")]
        last: Option<usize>,
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Checks that no record was changed, moved or removed
    ///
    /// A cut end is found by a node that was told of it: its word is a record too, and makes this fail.
    Verify {
        /// A document instead of a sentence
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
}

#[derive(Serialize)]
struct RecordItem {
    number: u64,
    at: String,
    by: String,
    action: &'static str,
    subject: String,
    outcome: &'static str,
    /// Of a refusal; empty otherwise.
    reason: String,
    hash: String,
}

/// What came of looking at the whole chain.
#[derive(Serialize)]
struct Verification {
    sound: bool,
    records: u64,
    /// Of the last record; `None` where there is none that could be believed.
    head: Option<String>,
    findings: Vec<String>,
}

impl AuditCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            AuditCommand::Ls { last, output } => list(context, last, output),
            AuditCommand::Verify { output } => verify(context, output),
        }
    }
}

/// The whole chain as it lies at the master, unchecked.
fn chain(context: &Context) -> anyhow::Result<Vec<Link>> {
    if context.remote.is_none() {
        return Ok(audit::read(&context.data.journal())?);
    }
    let mut links: Vec<Link> = Vec::new();
    loop {
        let after = links.last().map_or(0, |link| link.number);
        let Some(Answer::Audit(later)) = context.ask(&Request::Audit { after })? else { bail!("the master did not tell its audit") };
        if later.is_empty() {
            return Ok(links);
        }
        links.extend(later.into_iter().map(|(number, body, hash)| Link { number, body, hash }));
    }
}

fn list(context: &Context, last: Option<usize>, output: Option<Format>) -> anyhow::Result<Exit> {
    let links = chain(context)?;
    let shown = &links[links.len().saturating_sub(last.unwrap_or(usize::MAX))..];
    let items = shown.iter().map(|link| link.record().map(|record| item(link, record))).collect::<Result<Vec<RecordItem>, _>>()?;
    let columns = [Column::Number("No."), Column::Text("At"), Column::Text("By"), Column::Text("Action"), Column::Text("Subject"), Column::Text("Outcome")];
    let rows = items.iter().map(|item| {
        let outcome = if item.reason.is_empty() { item.outcome.to_owned() } else { format!("{}: {}", item.outcome, item.reason) };
        vec![item.number.to_string(), item.at.clone(), item.by.clone(), item.action.to_owned(), item.subject.clone(), outcome]
    });
    write_items(context, output, "audit", &items, &columns, rows.collect(), |item| item.action)
}

fn item(link: &Link, record: AuditRecord) -> RecordItem {
    let (outcome, reason) = match &record.outcome {
        Outcome::Done => ("done", String::new()),
        Outcome::Refused(reason) => ("refused", reason.clone()),
    };
    RecordItem {
        number: link.number,
        at: timestamp(record.at),
        by: record.by.to_string(),
        action: record.action.name(),
        subject: record.subject(),
        outcome,
        reason,
        hash: link.hash.to_hex(),
    }
}

fn verify(context: &Context, output: Option<Format>) -> anyhow::Result<Exit> {
    // Of a folder that was mistyped nothing is sound.
    if context.remote.is_none() && !context.data.journal().exists() {
        context.streams.note(&format!("there is no audit in {}: no fleet has its state there", context.data.root().display()));
        return Ok(Exit::NoMatch);
    }
    let item = examined(context, &chain(context)?)?;
    if let Some(format) = output {
        let columns = [Column::Text("Sound"), Column::Number("Records"), Column::Text("Head")];
        let row = vec![item.sound.to_string(), item.records.to_string(), item.head.clone().unwrap_or_default()];
        write_items(context, Some(format), "verification", &[&item], &columns, vec![row], |item| if item.sound { "sound" } else { "broken" })?;
    }
    item.findings.iter().for_each(|finding| context.streams.note(finding));
    if output.is_none() && item.sound {
        let mut out = Sink::open(None)?;
        match &item.head {
            Some(head) => writeln!(out, "{}, the last one {head}", counted(item.records, "record"))?,
            None => writeln!(out, "no records")?,
        }
        out.close()?;
    }
    Ok(if item.sound { Exit::Ok } else { Exit::Failure })
}

fn examined(context: &Context, links: &[Link]) -> anyhow::Result<Verification> {
    let records = links.len() as u64;
    let head = match audit::verify(links) {
        Ok(head) => head,
        // What stands in records behind a broken one is nobody's word.
        Err(fault) => return Ok(Verification { sound: false, records, head: None, findings: vec![fault.to_string()] }),
    };
    let strangers = cut_ends(context, links)?;
    let sound = strangers.iter().all(|stranger| stranger.is_explained);
    let findings = strangers.into_iter().map(|stranger| stranger.said).collect();
    Ok(Verification { sound, records, head: head.map(|head| head.hash.to_string()), findings })
}

/// What the nodes are called, by their ids.
fn names(context: &Context) -> anyhow::Result<BTreeMap<String, String>> {
    if context.remote.is_some() {
        let Some(Answer::Nodes(nodes)) = context.ask(&Request::Nodes)? else { return Ok(BTreeMap::new()) };
        return Ok(nodes.into_iter().map(|node| (node.id, node.name)).collect());
    }
    let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
    Ok(ledger.nodes.into_iter().map(|(id, node)| (id.to_string(), node.name)).collect())
}

/// What a node knows better.
struct Stranger {
    said: String,
    /// The fleet was restored from an archive that ended before the record that the node knows of.
    is_explained: bool,
}

fn cut_ends(context: &Context, links: &[Link]) -> anyhow::Result<Vec<Stranger>> {
    let names = names(context)?;
    let (mut strangers, mut restored) = (Vec::new(), None);
    for link in links {
        let record = link.record()?;
        if let Action::FleetRestored { records } = record.action {
            restored = Some(records);
        }
        if let Action::HeadUnknown { node, head } = record.action {
            let name = names.get(&node.to_string()).map_or_else(|| "removed since".to_owned(), |name| harmless(name));
            let (number, at) = (head.number, timestamp(record.at));
            let is_explained = restored.is_some_and(|records| number > records);
            let why = if is_explained { "the fleet was restored from an archive that ended before it" } else { "the audit's end was cut off" };
            let said = format!("node {name} ({node}) knows of a record {number} that is not here, as it said at {at}: {why}, before record {}", link.number);
            strangers.push(Stranger { said, is_explained });
        }
    }
    Ok(strangers)
}
