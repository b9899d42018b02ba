//! The module that a file is, in the languages where a file or its folder is one: `json.loads` is looked for in `json.py`, and in
//! the `__init__.py` of `json`. By the path alone: what a build calls it (a crate's name, an alias, a search path) is not known here.

use std::borrow::Cow;

/// What makes a language's modules.
enum Module {
    /// Each file, by its name without extension; files of these names are their folder.
    File { folders: &'static [&'static str] },
    /// A folder, whatever its files are called.
    Folder,
}

const MODULES: [(&str, Module); 6] = [
    ("python", Module::File { folders: &["__init__"] }),
    ("rust", Module::File { folders: &["mod", "lib", "main"] }),
    ("javascript", Module::File { folders: &["index"] }),
    ("typescript", Module::File { folders: &["index"] }),
    ("tsx", Module::File { folders: &["index"] }),
    ("go", Module::Folder),
];

/// The parts of a module's name, from the outside in; none in a language whose files are no modules.
pub(super) fn module_of<'p>(path: &'p [u8], language: &str) -> Vec<Cow<'p, str>> {
    let Some((_, module)) = MODULES.iter().find(|(name, _)| *name == language) else { return Vec::new() };
    let mut parts: Vec<Cow<'p, str>> = path.split(|byte| *byte == b'/').map(String::from_utf8_lossy).collect();
    let file = parts.pop().unwrap_or_default();
    if let Module::File { folders } = module {
        // `a.test.ts` is no member of a module `a`: the query's dots would say so.
        let stem = file.rsplit_once('.').map_or(file.as_ref(), |(stem, _)| stem);
        if !folders.contains(&stem) {
            parts.push(Cow::Owned(stem.to_owned()));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_module_that_its_language_makes_of_it() {
        for (path, language, module) in [
            ("json/decoder.py", "python", "json decoder"),
            ("json/__init__.py", "python", "json"),
            ("setup.py", "python", "setup"),
            ("src/net/mod.rs", "rust", "src net"),
            ("src/net.rs", "rust", "src net"),
            ("src/lib.rs", "rust", "src"),
            ("pkg/http/server.go", "go", "pkg http"),
            ("main.go", "go", ""),
            ("web/index.ts", "typescript", "web"),
            ("web/view.tsx", "tsx", "web view"),
            ("a/B.java", "java", ""),
        ] {
            assert_eq!(module_of(path.as_bytes(), language).join(" "), module, "{path}");
        }
    }
}
