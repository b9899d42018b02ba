//! Which files of a tree a partial analysis is about: paths and globs, as a person gives them.

use std::{os::unix::ffi::OsStrExt, path::Path};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Paths below a project's folder.
#[derive(Clone, Debug)]
pub struct Selection {
    globs: GlobSet,
}

/// A pattern that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is no glob")]
pub struct SelectionError {
    pattern: String,
    source: globset::Error,
}

impl Selection {
    /// Each pattern is what lies at that path in the tree (a folder stands for everything in it), or else a glob in which
    /// `*` stays within a folder and `**` does not.
    pub fn new(root: &Path, patterns: &[String]) -> Result<Selection, SelectionError> {
        let mut globs = GlobSetBuilder::new();
        for pattern in patterns {
            let inside = Path::new(pattern).strip_prefix(root).map_or(pattern.as_str(), |inside| inside.to_str().unwrap_or(pattern));
            let inside = inside.trim_start_matches("./").trim_matches('/');
            let literal = if root.join(inside).symlink_metadata().is_ok() { globset::escape(inside) } else { inside.to_owned() };
            let refuse = |source| SelectionError { pattern: pattern.clone(), source };
            let everything = matches!(inside, "" | ".").then(|| "**".to_owned());
            for pattern in everything.map_or_else(|| vec![literal.clone(), format!("{literal}/**")], |all| vec![all]) {
                globs.add(GlobBuilder::new(&pattern).literal_separator(true).build().map_err(refuse)?);
            }
        }
        let refuse = |source| SelectionError { pattern: patterns.join(" "), source };
        Ok(Selection { globs: globs.build().map_err(refuse)? })
    }

    pub fn includes(&self, path: &[u8]) -> bool {
        self.globs.is_match(std::ffi::OsStr::from_bytes(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is_and_a_star_stays_within_a_folder() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("app/[slug]")).unwrap();
        let selects = |pattern: &str, path: &str| Selection::new(tree.path(), &[pattern.into()]).unwrap().includes(path.as_bytes());
        for (pattern, path, selected) in [
            ("./src/core/", "src/core/lib.rs", true),
            ("src/core", "src/core/fleet/jobs.rs", true),
            ("src/core", "src/cored.rs", false),
            ("docs/*.md", "docs/metrics.md", true),
            ("docs/*.md", "docs/deep/metrics.md", false),
            ("**/main.rs", "main.rs", true),
            ("**/main.rs", "a/b/main.rs", true),
            ("app/[slug]", "app/[slug]/page.tsx", true),
            ("app/[slug]", "app/s/page.tsx", false),
            (".", "any/where.c", true),
            (tree.path().join("app").to_str().unwrap(), "app/x.c", true),
        ] {
            assert_eq!(selects(pattern, path), selected, "{pattern} {path}");
        }
        let refused = Selection::new(tree.path(), &["a[".into()]).unwrap_err();
        assert!(!refused.source.to_string().contains("**"), "it is the glob that was typed: {}", refused.source);
    }
}
