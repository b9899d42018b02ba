//! What things in the demo are called.

use alloc::{format, string::String};

const MACHINES: [&str; 24] = [
    "anvil", "birch", "cedar", "dune", "ember", "flint", "grove", "heron", "iris", "juniper", "kestrel", "larch", "maple", "nectar", "opal", "pine", "quartz",
    "raven", "sable", "tern", "umber", "vale", "willow", "yarrow",
];
pub(super) const OSES: [&str; 4] = ["Debian 13", "Alpine 3.22", "Fedora 43", "Arch Linux"];
pub(super) const ZONES: [&str; 3] = ["home", "eu", "us"];
pub(super) const PROJECTS: [&str; 6] = ["kernel", "compiler", "browser", "webshop", "phone-app", "firmware"];
pub(super) const LANGUAGES: [(&str, &str); 6] = [("c", "c"), ("rust", "rs"), ("go", "go"), ("python", "py"), ("typescript", "ts"), ("java", "java")];
pub(super) const FOLDERS: [&str; 8] = ["core", "net", "driver", "parser", "store", "ui", "tools", "tests"];
pub(super) const TESTS: [&str; 6] = ["codec", "ledger", "placement", "selector", "carrier", "journal"];
/// What people ask for, of the one program that the machines run.
pub(super) const TARGETS: [&str; 4] = ["test", "lint", "package", "docs"];

/// Of the machine of this number, from 0.
pub(super) fn of(number: u32) -> String {
    let (name, round) = (MACHINES[number as usize % MACHINES.len()], number as usize / MACHINES.len());
    if round == 0 { name.into() } else { format!("{name}-{}", round + 1) }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    #[test]
    fn every_machine_has_a_name_of_its_own() {
        let names: BTreeSet<_> = (0..10_000).map(super::of).collect();
        assert_eq!(names.len(), 10_000);
    }
}
