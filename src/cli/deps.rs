//! `bitacora deps`.

use std::{cmp::Reverse, io::Write};

use clap::Args;
use serde::Serialize;

use super::{
    Context, elsewhere,
    output::{Sink, note_lacking, problems},
};
use crate::{
    control::report::Report,
    dependencies::{Circle, Dependencies, Importing},
    exit::Exit,
    journal::Journal,
    master,
    report::{
        Format,
        json::{Envelope, PathText, Problem},
        table::{self, Column},
        text::{grouped, harmless, timestamp},
    },
    result::{Lacking, StoredResult, find_project},
};

/// Rows of a table that nobody has limited.
const TABLE_ROWS: usize = 40;

/// Shows which files import which in the last result: the most imported first; or the circles in which files need one another.
///
/// An import means a file by the rules of its language, as far as paths tell: docs/metrics.md has them. What is of no file of the
/// tree, or of none that can be told, is outside.
#[derive(Args)]
pub(super) struct Deps {
    /// A project's name or folder; needed when there are several, outside of their folders
    project: Option<String>,
    /// Files that import one another in a circle, the largest circle first
    #[arg(long)]
    cycles: bool,
    /// The most files or circles shown; without it 40 in a table, and all in other formats
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Serialize)]
struct FileItem<'d> {
    #[serde(flatten)]
    path: PathText,
    language: &'d str,
    uses: Vec<PathText>,
    used_by: u32,
    outside: Vec<&'d str>,
}

#[derive(Serialize)]
struct CircleItem {
    files: Vec<PathText>,
    shortest: Vec<PathText>,
}

impl Deps {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if context.remote.is_some() {
            let Deps { project, cycles, limit, output } = self;
            return elsewhere::report(context, Report::Deps { project, cycles, limit }, output);
        }
        let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
        let (_, project) = find_project(&ledger, self.project.as_deref())?;
        let mut result = StoredResult::last(&context.data, project)?.with_holders_of(&ledger);
        let (dependencies, lacking) = Dependencies::of(&mut result)?;
        let mut out = Sink::open(None)?;
        match self.cycles {
            true => self.write_circles(context, &mut out, &dependencies, &lacking)?,
            false => self.write_files(context, &mut out, &dependencies, &lacking)?,
        }
        out.close()?;
        note_lacking(context, &project.name, &result, &lacking);
        Ok(if lacking.is_empty() { Exit::Ok } else { Exit::Partial })
    }

    fn write_files(&self, context: &Context, out: &mut Sink, dependencies: &Dependencies, lacking: &Lacking) -> anyhow::Result<()> {
        let mut order: Vec<u32> = (0..dependencies.files.len() as u32).collect();
        order.sort_by_key(|file| (Reverse(dependencies.used_by[*file as usize]), *file));
        let row = |file: u32| (&dependencies.files[file as usize], dependencies.used_by[file as usize]);
        let shown = |limit: usize| order.iter().take(limit).map(|file| row(*file));
        match Format::or_for(self.output, context.streams.stdout_is_terminal) {
            format @ (Format::Json | Format::Ndjson) => {
                let path = |file: &u32| PathText::new(&dependencies.files[*file as usize].path);
                let items = shown(self.limit.unwrap_or(usize::MAX)).map(|(file, used_by)| FileItem {
                    path: PathText::new(&file.path),
                    language: &file.language,
                    uses: file.uses.iter().map(path).collect(),
                    used_by,
                    outside: file.outside.iter().map(AsRef::as_ref).collect(),
                });
                write_items(out, format, ("bitacora/dependencies/1", "dependencies"), items, lacking)
            }
            Format::Name => Ok(shown(self.limit.unwrap_or(usize::MAX)).try_for_each(|(file, _)| out.name(file.path.as_bytes()))?),
            Format::Table | Format::Wide if order.is_empty() => Ok(()),
            format => {
                let plain = format == Format::Plain;
                let limit = self.limit.unwrap_or(if plain { usize::MAX } else { TABLE_ROWS });
                let columns = [Column::Number("Used by"), Column::Number("Uses"), Column::Number("Outside"), Column::Text("File")];
                table::write(out, &columns, shown(limit).map(|(file, used_by)| file_row(file, used_by, plain)).collect(), plain)?;
                note_more(out, order.len(), limit, plain)
            }
        }
    }

    fn write_circles(&self, context: &Context, out: &mut Sink, dependencies: &Dependencies, lacking: &Lacking) -> anyhow::Result<()> {
        let circles = dependencies.circles();
        let path = |file: &u32| &dependencies.files[*file as usize].path;
        match Format::or_for(self.output, context.streams.stdout_is_terminal) {
            format @ (Format::Json | Format::Ndjson) => {
                let paths = |files: &[u32]| files.iter().map(|file| PathText::new(path(file))).collect();
                let items = circles.iter().take(self.limit.unwrap_or(usize::MAX));
                let items = items.map(|Circle { members, shortest }| CircleItem { files: paths(members), shortest: paths(shortest) });
                write_items(out, format, ("bitacora/cycles/1", "cycles"), items, lacking)
            }
            Format::Name => {
                let files = circles.iter().take(self.limit.unwrap_or(usize::MAX)).flat_map(|circle| &circle.members);
                Ok(files.map(path).try_for_each(|path| out.name(path.as_bytes()))?)
            }
            Format::Table | Format::Wide if circles.is_empty() => {
                context.streams.note("no files import one another in a circle");
                Ok(())
            }
            format => {
                let plain = format == Format::Plain;
                let limit = self.limit.unwrap_or(if plain { usize::MAX } else { TABLE_ROWS });
                let way = |circle: &Circle| {
                    let back = circle.shortest.iter().chain(circle.shortest.first());
                    harmless(&back.map(|file| path(file).to_text()).collect::<Vec<_>>().join(" > "))
                };
                let rows =
                    circles.iter().take(limit).map(|circle| vec![number(circle.members.len(), plain), number(circle.shortest.len(), plain), way(circle)]);
                table::write(out, &[Column::Number("Files"), Column::Number("Shortest"), Column::Text("Circle")], rows.collect(), plain)?;
                note_more(out, circles.len(), limit, plain)
            }
        }
    }
}

fn number(number: usize, plain: bool) -> String {
    if plain { number.to_string() } else { grouped(number as u64) }
}

fn file_row(file: &Importing, used_by: u32, plain: bool) -> Vec<String> {
    let figures = [used_by as usize, file.uses.len(), file.outside.len()];
    figures.into_iter().map(|figure| number(figure, plain)).chain([file.path.to_text()]).collect()
}

fn note_more(out: &mut Sink, all: usize, shown: usize, plain: bool) -> anyhow::Result<()> {
    if all > shown && !plain {
        writeln!(out, "… and {} more; --limit shows them", grouped((all - shown) as u64))?;
    }
    Ok(())
}

fn write_items<T: Serialize>(
    out: &mut Sink,
    format: Format,
    (schema, kind): (&str, &str),
    items: impl Iterator<Item = T>,
    lacking: &Lacking,
) -> anyhow::Result<()> {
    if format == Format::Ndjson {
        for item in items {
            serde_json::to_writer(&mut *out, &item)?;
            writeln!(out)?;
        }
        return Ok(());
    }
    let generated_at = timestamp(master::now());
    let errors: Vec<Problem> = problems(lacking).collect();
    let items: Vec<T> = items.collect();
    serde_json::to_writer(&mut *out, &Envelope { schema, kind, items: &items, errors: &errors, generated_at: &generated_at })?;
    Ok(writeln!(out)?)
}
