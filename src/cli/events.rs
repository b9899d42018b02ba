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

    pub(super) fn row(&self) -> Vec<String> {
        vec![self.number.to_string(), self.at.clone(), self.kind.clone(), self.subject.clone(), harmless(&self.text)]
    }
}

impl From<Happening> for EventItem {
    fn from(Happening { number, at, kind, subject, text }: Happening) -> EventItem {
        EventItem { number, at: timestamp(at), kind, subject, text }
    }
}

impl Events {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let events = match all(context, self.since)? {
            Told::Events(events) => events,
            Told::Refused(exit) => return Ok(exit),
            Told::Nobody => {
                context.streams.note("no bitacora serves; start one with `bitacora serve`");
                return Ok(Exit::Unreachable);
            }
        };
        let mut since = events.last().map_or(self.since, |last| last.number);
        let mut items: Vec<EventItem> = events.into_iter().map(EventItem::from).collect();
        if !self.follow {
            let columns = [Column::Number("Number"), Column::Text("At"), Column::Text("Kind"), Column::Text("Of"), Column::Text("What")];
            let rows = items.iter().map(EventItem::row).collect();
            return write_items(context, self.output, "events", &items, &columns, rows, |item| &item.subject);
        }
        loop {
            self.tell(&items)?;
            if items.is_empty() {
                std::thread::sleep(LOOK_EVERY);
            }
            let more = match news(context, since)? {
                Told::Events(more) => more,
                Told::Refused(exit) => return Ok(exit),
                Told::Nobody => return Ok(Exit::Unreachable),
            };
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

/// What became of asking for events.
pub(super) enum Told {
    Events(Vec<Happening>),
    /// The person was told why.
    Refused(Exit),
    Nobody,
}

/// All that a master remembers after an event.
pub(super) fn all(context: &Context, after: u64) -> anyhow::Result<Told> {
    let mut events: Vec<Happening> = Vec::new();
    loop {
        match news(context, events.last().map_or(after, |last| last.number))? {
            Told::Events(more) if more.is_empty() => return Ok(Told::Events(events)),
            Told::Events(more) => events.extend(more),
            other => return Ok(other),
        }
    }
}

fn news(context: &Context, after: u64) -> anyhow::Result<Told> {
    loop {
        match context.ask(&Request::Events { after })? {
            Some(Answer::Events(happenings)) => return Ok(Told::Events(happenings)),
            Some(Answer::Busy) => std::thread::sleep(LOOK_EVERY),
            Some(answer) => return Ok(Told::Refused(context.streams.conclude(&answer))),
            None => return Ok(Told::Nobody),
        }
    }
}
