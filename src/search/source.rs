//! The lines of a definition, as they are in the tree now. Reads no more than a screenful of screens, and never outside of the project's folder.

use std::io::Read;

use bitacora_core::{ids::Digest, paths::RelativePath};
use fleet_agent::root::Root;

/// A larger file is not opened to show a few lines of it.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Of one definition.
const LINES_MAX: usize = 400;
const SOURCE_BYTES_MAX: usize = 64 << 10;

/// What stands in a file from a line to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub text: String,
    /// There is more of it.
    pub cut: bool,
    /// The file is the one that was analysed; otherwise the lines may be others.
    pub is_as_analysed: bool,
}

/// `None` where the file is gone, too large, or cannot be read.
pub fn source(folder: &Root, path: &RelativePath, content: Digest, first_line: u32, last_line: u32) -> Option<Source> {
    let mut bytes = Vec::new();
    let read = folder.file(path).ok()?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    if read as u64 > FILE_BYTES_MAX {
        return None;
    }
    let is_as_analysed = *blake3::hash(&bytes).as_bytes() == content.0;
    let wanted = (last_line.saturating_sub(first_line) + 1) as usize;
    let (mut text, mut lines, mut cut) = (String::new(), 0, false);
    for line in bytes.split(|byte| *byte == b'\n').skip(first_line.saturating_sub(1) as usize).take(wanted) {
        if lines == LINES_MAX || text.len() + line.len() > SOURCE_BYTES_MAX {
            cut = true;
            break;
        }
        text.push_str(String::from_utf8_lossy(line).trim_end_matches('\r'));
        text.push('\n');
        lines += 1;
    }
    Some(Source { text, cut, is_as_analysed })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_definition_is_its_lines_and_says_when_the_file_has_changed() {
        let place = tempfile::tempdir().unwrap();
        let text = "one\r\ntwo\nthree\nfour\n";
        fs::write(place.path().join("a.c"), text).unwrap();
        let (folder, path) = (Root::open(place.path()).unwrap(), RelativePath::new(b"a.c".to_vec()).unwrap());
        let content = Digest(*blake3::hash(text.as_bytes()).as_bytes());
        let found = source(&folder, &path, content, 1, 2).unwrap();
        assert_eq!(found, Source { text: "one\ntwo\n".into(), cut: false, is_as_analysed: true });
        fs::write(place.path().join("a.c"), "x\n".repeat(LINES_MAX * 2)).unwrap();
        let found = source(&folder, &path, content, 2, u32::MAX).unwrap();
        assert_eq!((found.text.lines().count(), found.cut, found.is_as_analysed), (LINES_MAX, true, false));
        fs::remove_file(place.path().join("a.c")).unwrap();
        assert_eq!(source(&folder, &path, content, 1, 1), None);
    }
}
