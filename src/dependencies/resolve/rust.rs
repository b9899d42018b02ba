//! Paths of Rust: `crate`, `self` and `super`, names of this module, and crates of the same tree.

use super::{Resolver, expanded, is_above, module_files, parent, split, under};

/// Files whose module has its children in their own folder.
const ROOTS: &[&str] = &["lib.rs", "main.rs"];
/// The standard library's, whatever folders are called.
const STANDARD: &[&str] = &["std", "core", "alloc", "proc_macro", "test"];
/// Parts of a use path that may name modules.
const PARTS_MAX: usize = 16;

impl<'p> Resolver<'p> {
    /// Each path of a `use`; the file of the innermost module that it names.
    pub(super) fn rust(&self, from: u32, target: &str) -> Vec<u32> {
        let mut found: Vec<u32> = expanded(target, "::", &[" as "]).iter().filter_map(|path| self.used(from, path)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn used(&self, from: u32, path: &str) -> Option<u32> {
        let words: Vec<&str> = path.trim_start_matches("::").split("::").map(|word| word.trim().trim_start_matches("r#")).take(PARTS_MAX).collect();
        let (first, rest) = words.split_first()?;
        // All of the parent's: a module of tests in the same file says so of that file, and nothing tells the two apart.
        if words == ["super", "*"] {
            return Some(from);
        }
        match *first {
            name if STANDARD.contains(&name) => None,
            "crate" => self.named(self.crate_folder(from)?, rest),
            "self" => self.named(&self.children_folder(from), rest),
            "super" => {
                let mut folder = self.children_folder(from);
                let supers = words.iter().take_while(|word| **word == "super").count();
                for _ in 0..supers {
                    folder = parent(&folder)?.to_owned();
                }
                self.named(&folder, &words[supers..])
            }
            // Of this module (RFC 2126), or a crate beside this one.
            name => self
                .module(&under(&self.children_folder(from), name))
                .map_or_else(|| self.named(self.sibling_crate(from, name)?, rest), |_| self.named(&self.children_folder(from), &words)),
        }
    }

    /// Where the modules lie that a file declares.
    fn children_folder(&self, file: u32) -> String {
        let (folder, name) = split(&self.paths[file as usize]);
        match name {
            "mod.rs" => folder.to_owned(),
            name if ROOTS.contains(&name) => folder.to_owned(),
            name => under(folder, name.strip_suffix(".rs").unwrap_or(name)),
        }
    }

    /// The folder of the nearest root above.
    fn crate_folder(&self, file: u32) -> Option<&'p str> {
        let mut folder = self.folder(file);
        loop {
            if ROOTS.iter().any(|root| self.at(&under(folder, root)).is_some()) {
                return Some(folder);
            }
            folder = parent(folder)?;
        }
    }

    /// The `src` of a crate of this name, as its folder is called.
    fn sibling_crate(&self, from: u32, name: &str) -> Option<&'p str> {
        let names = [name.to_owned(), name.replace('_', "-")];
        let called = |name: &String| self.crates.get(name.as_str()).into_iter().flatten().copied();
        let found: std::collections::BTreeSet<u32> = names.iter().flat_map(called).collect();
        let root = self.nearest(from, found.into_iter())?;
        Some(self.folder(root))
    }

    fn module(&self, path: &str) -> Option<u32> {
        self.first(module_files(path, "rs", "mod.rs"))
    }

    /// The innermost module of these names below a folder; the folder's own file where the first of them is none.
    fn named(&self, folder: &str, words: &[&str]) -> Option<u32> {
        for count in (1..=words.len()).rev() {
            if let Some(file) = self.module(&under(folder, &words[..count].join("/"))) {
                return Some(file);
            }
        }
        let root = self.first(ROOTS.iter().map(|root| under(folder, root)));
        root.or_else(|| self.module(folder)).filter(|file| is_above(split(folder).0, self.folder(*file)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_means_the_innermost_module_that_is_a_file() {
        let tree = [
            "a/src/lib.rs",
            "a/src/fleet.rs",
            "a/src/fleet/jobs.rs",
            "a/src/old/mod.rs",
            "a/src/old/new.rs",
            "my-core/src/lib.rs",
            "my-core/src/ids.rs",
            "core/src/lib.rs",
        ];
        let paths: Vec<String> = tree.iter().map(ToString::to_string).collect();
        let resolver = Resolver::new(&paths);
        let means = |from: &str, target: &str| -> Vec<&str> {
            resolver.rust(resolver.at(from).unwrap(), target).into_iter().map(|file| paths[file as usize].as_str()).collect()
        };
        assert_eq!(means("a/src/old/new.rs", "crate::fleet::jobs::Job"), ["a/src/fleet/jobs.rs"]);
        assert_eq!(means("a/src/old/new.rs", "crate::{fleet::{self, jobs}, Thing}"), ["a/src/lib.rs", "a/src/fleet.rs", "a/src/fleet/jobs.rs"]);
        assert_eq!(means("a/src/fleet/jobs.rs", "super::Fleet"), ["a/src/fleet.rs"]);
        assert_eq!(means("a/src/old/new.rs", "super::Old"), ["a/src/old/mod.rs"]);
        assert_eq!(means("a/src/fleet/jobs.rs", "super::super::old::new"), ["a/src/old/new.rs"]);
        assert_eq!(means("a/src/fleet.rs", "self::jobs::Job"), ["a/src/fleet/jobs.rs"]);
        assert_eq!(means("a/src/lib.rs", "fleet::Fleet"), ["a/src/fleet.rs"]);
        assert_eq!(means("a/src/fleet.rs", "my_core::ids::Id"), ["my-core/src/ids.rs"]);
        assert_eq!(means("a/src/fleet.rs", "std::collections::HashMap"), Vec::<&str>::new());
        assert_eq!(means("a/src/fleet.rs", "core::fmt"), Vec::<&str>::new(), "whatever a folder is called");
        assert_eq!(means("a/src/fleet.rs", "super::*"), ["a/src/fleet.rs"], "as likely of a module in it");
    }
}
