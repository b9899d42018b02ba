//! `bitacora events`.

use std::{io::Write, time::Duration};

use clap::Args;
use serde::Serialize;

use super::{
    Context,
    output::{Sink, write_items},
};
use crate::{
    control::{Answer, Request},
    exit::Exit,
    report::{
        Format,
        table::Column,
        text::{harmless, timestamp},
    },
    timeline::Happening,
};

/// How often a master is asked for news.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Prints what has happened in the fleet: jobs, sparks that failed, nodes that came and went
#[derive(Args)]
pub(super) struct Events {
    /// Goes on until it is interrupted or the master ends
    #[arg(short, long)]
    follow: bool,
    /// Only what came after the event of this number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    since: u64,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Serialize)]
pub(super) struct EventItem {
    number: u64,
    at: String,
    kind: String,
    subject: String,
    text: String,
}

impl EventItem {
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }
}

impl From<Happening> for EventItem {
    fn from(Happening { number, at, kind, subject, text }: Happening) -> EventItem {
        EventItem { number, at: timestamp(at), kind, subject, text }
    }
}

impl Events {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Some(events) = all(context, self.since)? else {
            context.streams.note("no bitacora serves; start one with `bitacora serve`");
            return Ok(Exit::Unreachable);
        };
        let mut since = events.last().map_or(self.since, |last| last.number);
        let mut items: Vec<EventItem> = events.into_iter().map(EventItem::from).collect();
        if !self.follow {
            let columns = [Column::Number("Number"), Column::Text("At"), Column::Text("Kind"), Column::Text("Of"), Column::Text("What")];
            let rows = items.iter().map(|item| vec![item.number.to_string(), item.at.clone(), item.kind.clone(), item.subject.clone(), harmless(&item.text)]);
            return write_items(context, self.output, "events", &items, &columns, rows.collect(), |item| &item.subject);
        }
        loop {
            self.tell(&items)?;
            if items.is_empty() {
                std::thread::sleep(LOOK_EVERY);
            }
            let Some(more) = news(context, since)? else { return Ok(Exit::Unreachable) };
            since = more.last().map_or(since, |last| last.number);
            items = more.into_iter().map(EventItem::from).collect();
        }
    }

    /// A line each: what is followed has no end, and so no envelope and no table.
    fn tell(&self, items: &[EventItem]) -> anyhow::Result<()> {
        let mut out = Sink::open(None)?;
        for item in items {
            match self.output {
                Some(Format::Json | Format::Ndjson) => {
                    serde_json::to_writer(&mut out, item)?;
                    writeln!(out)?;
                }
                _ => writeln!(out, "{}\t{}\t{}\t{}", item.at, item.kind, harmless(&item.subject), harmless(&item.text))?,
            }
        }
        out.close()
    }
}

/// All that a master remembers after an event; `None` when nobody serves.
pub(super) fn all(context: &Context, after: u64) -> anyhow::Result<Option<Vec<Happening>>> {
    let Some(mut events) = news(context, after)? else { return Ok(None) };
    while let Some(more) = events.last().map(|last| news(context, last.number)).transpose()?.flatten().filter(|more| !more.is_empty()) {
        events.extend(more);
    }
    Ok(Some(events))
}

/// `None` when nobody serves, or not any more.
fn news(context: &Context, after: u64) -> anyhow::Result<Option<Vec<Happening>>> {
    match context.ask(&Request::Events { after })? {
        Some(Answer::Events(happenings)) => Ok(Some(happenings)),
        Some(_) => Ok(Some(Vec::new())),
        None => Ok(None),
    }
}
