//! Source trees that exist in the simulation alone, and what an honest analysis of each file comes to.
//!
//! An outcome is a function of the project's folder and the file's path, so that two trees never agree by accident and
//! a result that belongs to another run is recognised.

use alloc::{format, vec::Vec};

use super::dice::{Dice, mix};
use crate::{
    fleet::ListedFile,
    ids::Digest,
    paths::RelativePath,
    wire::{
        record::{FileSummary, Lines},
        task::{FailReason, FileOutcome, FileResult, FileStat, RecordRef, SparkOutput, TaskFile},
    },
};

/// A file whose name ends like this takes the process that parses it with it.
const DEADLY: &[u8] = b".deadly";

/// One state of a project's files.
#[derive(Clone, Debug)]
pub struct Tree {
    pub root: Vec<u8>,
    pub listing: Digest,
    pub files: Vec<ListedFile>,
}

impl Tree {
    /// A tree of `count` files, of which one or two are deadly.
    pub fn grow(root: &[u8], version: u32, count: u32) -> Tree {
        let listing = digest(&[root, &version.to_le_bytes()]);
        let mut dice = Dice::new(u64::from_le_bytes(listing.0[..8].try_into().expect("a digest is longer than that")));
        let deadly = [dice.below(u64::from(count)), dice.below(u64::from(count))];
        let files = (0..count).map(|number| file(root, version, number, deadly.contains(&u64::from(number)), &mut dice)).collect();
        Tree { root: root.to_vec(), listing, files }
    }

    /// What every run must come to, whatever happens on the way.
    pub fn expected(&self) -> Vec<FileOutcome> {
        let asked =
            |(index, file): (u32, &ListedFile)| TaskFile { index, path: file.path.clone(), language: file.language.clone(), size: file.size, content: None };
        (0..).zip(&self.files).map(asked).map(|file| if is_deadly(&file) { quarantined(file.index) } else { outcome(&self.root, &file) }).collect()
    }
}

fn file(root: &[u8], version: u32, number: u32, deadly: bool, dice: &mut Dice) -> ListedFile {
    let end = if deadly { ".deadly" } else { "" };
    let path = RelativePath::new(format!("v{version}/d{}/f{number}.c{end}", number % 5).into()).expect("it is relative and has no odd part");
    let language = if number.is_multiple_of(3) { "c" } else { "go" }.into();
    // As for a master that serves, and as for one command; the first refuses most of what is planted in the second.
    let content = version.is_multiple_of(2).then(|| content(root, &path));
    ListedFile {
        path,
        size: 10_000 + dice.below(250_000),
        language,
        complexity: dice.below(40) as u32,
        cluster: dice.below(4) as u32,
        content,
        is_disputed: false,
    }
}

pub(super) fn is_deadly(file: &TaskFile) -> bool {
    file.path.as_bytes().ends_with(DEADLY)
}

pub(super) fn output(root: &[u8], files: &[TaskFile]) -> SparkOutput {
    SparkOutput { files: files.iter().map(|file| outcome(root, file)).collect(), cached: 0, ended: None }
}

/// What such an answer names.
pub(super) fn packs_of(output: &SparkOutput) -> impl Iterator<Item = Digest> + '_ {
    output.files.iter().filter_map(|outcome| match &outcome.result {
        FileResult::Analysed { record, .. } => Some(record.pack),
        FileResult::Skipped(_) | FileResult::Failed(_) => None,
    })
}

fn outcome(root: &[u8], file: &TaskFile) -> FileOutcome {
    let content = content(root, &file.path);
    let lines = u32::from(content.0[0]);
    let summary = FileSummary { bytes: u64::from(lines) * 30, lines: Lines { total: lines, code: lines, ..Lines::default() }, ..FileSummary::default() };
    let result = FileResult::Analysed { content, language: file.language.clone(), record: RecordRef { pack: content, entry: file.index }, summary };
    FileOutcome { index: file.index, stat: Some(FileStat { size: u64::from(lines), ..FileStat::default() }), result }
}

fn content(root: &[u8], path: &RelativePath) -> Digest {
    digest(&[root, path.as_bytes()])
}

fn quarantined(index: u32) -> FileOutcome {
    FileOutcome { index, stat: None, result: FileResult::Failed(FailReason::Quarantined) }
}

/// Names some bytes. Nobody attacks a simulation, so that mixing is enough and a hash function need not be here.
pub(super) fn digest(parts: &[&[u8]]) -> Digest {
    let mut lanes = [1_u64, 2, 3, 4];
    for (place, byte) in parts.iter().flat_map(|part| part.iter().copied().chain([0xff])).enumerate() {
        lanes[place % 4] = mix(lanes[place % 4] ^ (u64::from(byte) << 20) ^ place as u64);
    }
    let mut bytes = [0; 32];
    let all = lanes.iter().fold(0, |all, lane| mix(all ^ lane));
    for (chunk, lane) in bytes.chunks_exact_mut(8).zip(lanes) {
        chunk.copy_from_slice(&mix(all ^ lane).to_le_bytes());
    }
    Digest(bytes)
}
