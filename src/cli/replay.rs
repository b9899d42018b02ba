//! `bitacora replay`.

use std::{io::Write, time::Duration};

use bitacora_core::time::Time;
use clap::Args;
use serde::Serialize;

use super::{
    Context,
    events::{EventItem, Told, all},
    output::{Sink, UsageError, write_items},
};
use crate::{
    exit::Exit,
    journal::Journal,
    report::{
        Format,
        table::Column,
        text::{counted, harmless, timestamp},
    },
    timeline::{Happening, Timeline, moment::Moment},
};

/// Nobody waits longer for the next event, however slow the fleet was.
const GAP_MAX: Duration = Duration::from_secs(2);

/// Plays what has happened in the fleet once more, each event with how the fleet was then; or shows how it was at one moment.
///
/// The events are those that the master remembers, or, where none serves, those that the journal still tells of; they are numbered
/// anew in each master's life, and begin with the nodes and open jobs that were there before the first.
#[derive(Args)]
pub(super) struct Replay {
    /// The fleet at the event of this number, or at this time (RFC 3339): its nodes, and the jobs that were not over
    #[arg(long, value_name = "WHEN", conflicts_with_all = ["from", "speed"])]
    at: Option<When>,
    /// Begins at this event, or this time
    #[arg(long, value_name = "WHEN")]
    from: Option<When>,
    /// So many times faster than it was, and with no wait of more than two seconds; without it all at once
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    speed: Option<u32>,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

/// A moment, as a person says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Event(u64),
    Time(Time),
}

impl std::str::FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<When, String> {
        if let Ok(number) = text.parse() {
            return Ok(When::Event(number));
        }
        let at: jiff::Timestamp = text.parse().map_err(|_| format!("{text:?} is neither an event's number nor a time as 2026-01-31T12:00:00Z"))?;
        // Times are shown in whole seconds: what is in the second that was named has happened.
        Ok(When::Time(Time(at.as_microsecond().max(0) as u64 + 999_999)))
    }
}

impl When {
    /// Had the event happened?
    fn is_after(self, event: &Happening) -> bool {
        match self {
            When::Event(number) => event.number <= number,
            When::Time(at) => event.at <= at,
        }
    }
}

#[derive(Serialize)]
struct StateItem {
    kind: &'static str,
    id: String,
    state: String,
}

#[derive(Serialize)]
struct PlayedItem {
    #[serde(flatten)]
    event: EventItem,
    nodes: usize,
    jobs: usize,
}

impl PlayedItem {
    fn row(&self) -> Vec<String> {
        let mut row = self.event.row();
        row.extend([self.nodes.to_string(), self.jobs.to_string()]);
        row
    }
}

impl Replay {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let events = match all(context, 0)? {
            Told::Events(events) => events,
            Told::Refused(exit) => return Ok(exit),
            Told::Nobody if context.remote.is_some() => {
                context.streams.note("the master elsewhere does not answer");
                return Ok(Exit::Unreachable);
            }
            Told::Nobody => remembered(context)?,
        };
        match self.at {
            Some(when) => self.show(context, &events, when),
            None => self.play(context, &events),
        }
    }

    fn show(&self, context: &Context, events: &[Happening], when: When) -> anyhow::Result<Exit> {
        let Some(last) = events.iter().rfind(|event| when.is_after(event)) else {
            let first = events.first().map(|event| format!(": the first event is {}, at {}", event.number, timestamp(event.at)));
            return Err(UsageError(format!("nothing is known of that time{}", first.unwrap_or_default())).into());
        };
        if let When::Event(number) = when
            && number > last.number
        {
            context.streams.note(&format!("there is no event {number}: the last one is {}, at {}", last.number, timestamp(last.at)));
            return Ok(Exit::NoMatch);
        }
        let moment = Moment::of(events, last.number);
        let item = |kind| move |(id, state): (&&'_ str, &'_ String)| StateItem { kind, id: (*id).to_owned(), state: state.clone() };
        let items: Vec<StateItem> = moment.nodes.iter().map(item("node")).chain(moment.jobs.iter().map(item("job"))).collect();
        context.streams.note(&format!("at event {}, {}: {} of {}", last.number, timestamp(last.at), last.kind, harmless(&last.subject)));
        let columns = [Column::Text("Kind"), Column::Text("Id"), Column::Text("State")];
        let rows = items.iter().map(|item| vec![item.kind.to_owned(), harmless(&item.id), harmless(&item.state)]);
        write_items(context, self.output, "moment", &items, &columns, rows.collect(), |item| &item.id)
    }

    /// A line each where it is played: whoever plays something wants to see it come.
    fn play(&self, context: &Context, events: &[Happening]) -> anyhow::Result<Exit> {
        let mut out = Sink::open(None)?;
        let (mut moment, mut before, mut is_any) = (Moment::default(), None::<Time>, false);
        let format = Format::or_for(self.output, context.streams.stdout_is_terminal);
        let mut played = Vec::new();
        for event in events {
            moment.add(event);
            if self.from.is_some_and(|from| !begins(from, event)) {
                continue;
            }
            // What is written as a whole is not waited for.
            if let (Some(speed), Some(before), true) = (self.speed, before, format != Format::Json) {
                out.flush()?;
                std::thread::sleep((Duration::from_micros((event.at - before).0) / speed).min(GAP_MAX));
            }
            (before, is_any) = (Some(event.at), true);
            let item = PlayedItem { event: EventItem::from(event.clone()), nodes: moment.nodes.len(), jobs: moment.jobs.len() };
            match format {
                Format::Json => played.push(item),
                Format::Ndjson => {
                    serde_json::to_writer(&mut out, &item)?;
                    writeln!(out)?;
                }
                Format::Name => out.name(event.subject.as_bytes())?,
                Format::Table | Format::Wide | Format::Plain if self.speed.is_none() => played.push(item),
                Format::Table | Format::Wide | Format::Plain => {
                    let then = format!("{}, {}", counted(item.nodes as u64, "node"), counted(item.jobs as u64, "open job"));
                    let words = [event.number.to_string(), timestamp(event.at), event.kind.clone(), harmless(&event.subject), harmless(&event.text), then];
                    writeln!(out, "{}", words.join("\t"))?;
                }
            }
        }
        out.close()?;
        let exit = if is_any { Exit::Ok } else { Exit::NoMatch };
        if !is_any {
            context.streams.note(if events.is_empty() { "nothing is known to have happened" } else { "nothing is known to have happened since then" });
        }
        if played.is_empty() && format != Format::Json {
            return Ok(exit);
        }
        let columns = [
            Column::Number("Number"),
            Column::Text("At"),
            Column::Text("Kind"),
            Column::Text("Of"),
            Column::Text("What"),
            Column::Number("Nodes"),
            Column::Number("Jobs"),
        ];
        let rows = played.iter().map(PlayedItem::row).collect();
        write_items(context, Some(format), "replay", &played, &columns, rows, |item| item.event.subject())?;
        Ok(exit)
    }
}

/// Is the event there, or later?
fn begins(from: When, event: &Happening) -> bool {
    match from {
        When::Event(number) => event.number >= number,
        When::Time(at) => event.at.0 + 999_999 >= at.0,
    }
}

/// What the journal still tells of.
fn remembered(context: &Context) -> anyhow::Result<Vec<Happening>> {
    let mut timeline = Timeline::default();
    Journal::read_and_tell(&context.data.journal(), &mut |fact, ledger| timeline.remember(fact, ledger))?;
    Ok(timeline.into_events())
}
