//! What no compiler checks: who imports whom, a `//!` on every file, files that stay small.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 700;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["src", "fleet-agent", "tests", "benches", "examples"] {
        collect(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50, "the sources were found: {}", files.len());
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A file's code: everything before its unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in sources() {
        assert!(code(&path).starts_with("//!"), "{} begins with //!", path.display());
    }
}

#[test]
fn no_file_outgrows_its_purpose() {
    for path in sources() {
        let lines = code(&path).lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines", path.display());
    }
}

/// Brings together what the program keeps apart: the links of a master, a core's loop, the sessions of agents.
const TEST_OF_ALL: &str = "src/links/tests/storm.rs";

/// `core::fleet` as the files that are it.
fn is_in(module: &str, path: &Path) -> bool {
    let (package, rest) = module.split_once("::").unwrap();
    let base = match package {
        "core" => root().join("src/core"),
        "fleet_agent" => root().join("fleet-agent/src"),
        "bitacora" => root().join("src"),
        other => panic!("{other} is no package"),
    };
    let place = base.join(rest.replace("::", "/"));
    path == place.with_extension("rs") || path.starts_with(&place)
}

/// The ways in which a file may name a forbidden module.
fn names(forbidden: &str) -> Vec<String> {
    match forbidden.split_once("::") {
        Some(("core", module)) => vec![format!("bitacora_core::{module}"), format!("crate::{module}::"), format!("use crate::{module}")],
        Some(("bitacora", module)) => vec![format!("crate::{module}::"), format!("use crate::{module}")],
        Some(("fleet_agent", module)) => vec![format!("fleet_agent::{module}"), format!("crate::{module}::"), format!("use crate::{module}")],
        _ => vec![format!("{forbidden}::")],
    }
}

/// Does the text import the module, also as a member of a braced `use crate::{…}`?
fn imports(code: &str, forbidden: &str) -> bool {
    if names(forbidden).iter().any(|name| code.contains(name.as_str())) {
        return true;
    }
    let Some((package, module)) = forbidden.split_once("::") else { return false };
    let openings = if package == "core" { ["use crate::{", "use bitacora_core::{"] } else { ["use crate::{", "use fleet_agent::{"] };
    openings.iter().flat_map(|opening| code.split(opening).skip(1)).any(|rest| {
        let list = rest.split(";").next().unwrap_or_default();
        list.split([',', '{', '\n']).any(|item| item.trim().trim_end_matches('}').split("::").next() == Some(module))
    })
}

#[test]
fn nobody_imports_what_the_table_in_architecture_forbids() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').map(str::trim).collect()).collect();
    let mut checked = 0;
    for row in rows.iter().filter(|row| row.len() == 5) {
        for (module, path) in row[1].split('`').filter(|part| part.contains("::")).flat_map(|module| sources().into_iter().map(move |path| (module, path))) {
            if !is_in(module, &path) || path.ends_with(TEST_OF_ALL) {
                continue;
            }
            for forbidden in row[3].split('`').filter(|part| part.contains("::") || part.chars().all(|c| c.is_alphanumeric() || c == '_') && !part.is_empty()) {
                checked += 1;
                let same_package = forbidden.split("::").next() == module.split("::").next();
                let of_crate = same_package || !forbidden.starts_with("bitacora::");
                assert!(!(of_crate && imports(&code(&path), forbidden)), "{} imports {forbidden}, which {module} must not", path.display());
            }
        }
    }
    assert!(checked > 100, "the table was read: {checked} checks");
}

#[test]
fn the_check_of_imports_can_fail() {
    assert!(imports("use crate::{\n    journal::Journal,\n};", "bitacora::journal"));
    assert!(imports("use bitacora_core::fleet::Fleet;", "core::fleet"));
    assert!(!imports("use crate::{data::DataDirectory};", "bitacora::journal"));
}
