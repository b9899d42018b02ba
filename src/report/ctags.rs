//! The tags file of an editor, in the format of Universal Ctags (`tags(5)`, format 2, mode `u-ctags`): a definition a line,
//! sorted by bytes, so that an editor searches it in halves.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use bitacora_core::{paths::RelativePath, wire::record::FileRecord};

/// Lines that are sorted in memory; what is more goes through files of so much each.
const RUN_BYTES_MAX: usize = 64 << 20;
const RUN_BUFFER_BYTES: usize = 256 << 10;

const HEADER: &str = concat!(
    "!_TAG_FILE_FORMAT\t2\t/extended format/\n",
    "!_TAG_FILE_SORTED\t1\t/0=unsorted, 1=sorted, 2=foldcase/\n",
    "!_TAG_OUTPUT_EXCMD\tnumber\t/number, pattern, mixed, or combineV2/\n",
    "!_TAG_OUTPUT_FILESEP\tslash\t/slash or backslash/\n",
    "!_TAG_OUTPUT_MODE\tu-ctags\t/u-ctags or e-ctags/\n",
    "!_TAG_PROGRAM_NAME\tbitacora\t//\n",
    "!_TAG_PROGRAM_VERSION\t",
    env!("CARGO_PKG_VERSION"),
    "\t//\n",
);

/// Definitions on their way into a tags file.
#[derive(Default)]
pub struct Tags {
    /// What leads from the tags file's folder to the tree's; empty where they are the same.
    tree: PathBuf,
    lines: Vec<u8>,
    /// Where each line begins.
    starts: Vec<usize>,
    /// Each sorted.
    runs: Vec<File>,
}

impl Tags {
    /// For a file in this folder, of the tree at that one; both absolute. Editors look from the tags file on.
    pub fn for_file_in(folder: &Path, tree: &Path) -> Tags {
        Tags { tree: tree.strip_prefix(folder).unwrap_or(tree).to_owned(), ..Tags::default() }
    }

    /// Every definition of a file.
    pub fn add(&mut self, path: &RelativePath, record: &FileRecord<&str>) -> io::Result<()> {
        for symbol in &record.symbols {
            self.starts.push(self.lines.len());
            // A line that began so would stand before the header, or be taken for a part of it.
            match symbol.name.as_bytes() {
                [first @ (b' ' | b'!'), rest @ ..] => {
                    write!(self.lines, "\\x{first:02X}")?;
                    escape(rest, &mut self.lines);
                }
                name => escape(name, &mut self.lines),
            }
            self.lines.push(b'\t');
            escape(self.tree.join(OsStr::from_bytes(path.as_bytes())).as_os_str().as_bytes(), &mut self.lines);
            write!(self.lines, "\t{};\"\tkind:{}\tline:{}\tlanguage:", symbol.line, symbol.kind.name(), symbol.line)?;
            escape(record.language.as_bytes(), &mut self.lines);
            writeln!(self.lines, "\tend:{}", symbol.end_line)?;
        }
        if self.lines.len() >= RUN_BYTES_MAX { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut run = BufWriter::with_capacity(RUN_BUFFER_BYTES, tempfile::tempfile()?);
        self.write_sorted(&mut run)?;
        let mut run = run.into_inner().map_err(io::IntoInnerError::into_error)?;
        run.seek(SeekFrom::Start(0))?;
        self.runs.push(run);
        self.lines.clear();
        self.starts.clear();
        Ok(())
    }

    fn write_sorted(&mut self, out: &mut impl Write) -> io::Result<()> {
        let Tags { lines, starts, .. } = self;
        let line = |start: usize| {
            let rest = &lines[start..];
            &rest[..=memchr::memchr(b'\n', rest).expect("each line is ended")]
        };
        starts.sort_unstable_by(|one, other| line(*one).cmp(line(*other)));
        starts.iter().try_for_each(|start| out.write_all(line(*start)))
    }

    /// The whole file.
    pub fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(HEADER.as_bytes())?;
        if self.runs.is_empty() {
            return self.write_sorted(out);
        }
        self.spill()?;
        let mut runs: Vec<_> = self.runs.into_iter().map(|run| BufReader::with_capacity(RUN_BUFFER_BYTES, run)).collect();
        let mut next = BinaryHeap::new();
        for (number, run) in runs.iter_mut().enumerate() {
            next.extend(read_line(run)?.map(|line| Reverse((line, number))));
        }
        while let Some(Reverse((line, number))) = next.pop() {
            out.write_all(&line)?;
            next.extend(read_line(&mut runs[number])?.map(|line| Reverse((line, number))));
        }
        Ok(())
    }
}

fn read_line(run: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    run.read_until(b'\n', &mut line)?;
    Ok((!line.is_empty()).then_some(line))
}

/// What would break a line or a field, as `tags(5)` has it for names and paths.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..=0x1f | 0x7f => out.extend_from_slice(format!("\\x{byte:02X}").as_bytes()),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use bitacora_core::wire::record::{Symbol, SymbolKind};

    use super::*;

    fn record(names: &[String]) -> FileRecord<&str> {
        let symbols = (1..).zip(names).map(|(line, name)| Symbol {
            name: name.as_str(),
            kind: SymbolKind::Function,
            line,
            column: 1,
            end_line: line + 1,
            container: "",
            visibility: "",
            signature: "",
        });
        FileRecord { language: "C", symbols: symbols.collect(), ..FileRecord::default() }
    }

    fn written(tags: Tags) -> Vec<String> {
        let mut out = Vec::new();
        tags.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(HEADER));
        text.lines().filter(|line| !line.starts_with("!_")).map(str::to_owned).collect()
    }

    #[test]
    fn a_definition_is_a_line_whatever_it_is_called() {
        let mut tags = Tags::default();
        let names = ["zeta".to_owned(), "!_x".to_owned(), "a\tb\u{1b}\\".to_owned(), " y".to_owned()];
        tags.add(&RelativePath::new(b"a b.c".to_vec()).unwrap(), &record(&names)).unwrap();
        let end = |line: u32| format!("\ta b.c\t{line};\"\tkind:function\tline:{line}\tlanguage:C\tend:{}", line + 1);
        assert_eq!(written(tags), [format!("\\x20y{}", end(4)), format!("\\x21_x{}", end(2)), format!("a\\tb\\x1B\\\\{}", end(3)), format!("zeta{}", end(1))]);
    }

    #[test]
    fn a_file_is_named_as_it_is_seen_from_the_tags_file() {
        for (folder, tree, expected) in [("/src/a", "/src/a", "x.c"), ("/src", "/src/a", "a/x.c"), ("/home", "/src/a", "/src/a/x.c")] {
            let mut tags = Tags::for_file_in(Path::new(folder), Path::new(tree));
            tags.add(&RelativePath::new(b"x.c".to_vec()).unwrap(), &record(&["f".to_owned()])).unwrap();
            assert!(written(tags)[0].starts_with(&format!("f\t{expected}\t1;")), "{folder}");
        }
    }

    #[test]
    fn what_does_not_fit_into_memory_is_as_sorted() {
        let (mut whole, mut parts) = (Tags::default(), Tags::default());
        for file in 0..50 {
            let names: Vec<String> = (0..40).map(|number| format!("f{}", (file * 7919 + number * 104_729) % 1000)).collect();
            let path = RelativePath::new(format!("{file}.c").into_bytes()).unwrap();
            whole.add(&path, &record(&names)).unwrap();
            parts.add(&path, &record(&names)).unwrap();
            if file % 9 == 0 {
                parts.spill().unwrap();
            }
        }
        assert_eq!(parts.runs.len(), 6);
        let whole = written(whole);
        assert!(whole.is_sorted() && whole.len() == 2000);
        assert_eq!(written(parts), whole);
    }
}
