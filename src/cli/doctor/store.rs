//! The store: whether the data directory can keep what it is given, and whether what it has can be read.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::SystemTime};

use fleet_agent::{
    doctor::{Finding, clock, disk, rights},
    work::with_cause,
};

use crate::{
    control::{self, Request},
    data::DataDirectory,
    journal::{Journal, JournalError},
};

pub(super) fn examine(root: &Path) -> Vec<Finding> {
    let Some(data) = DataDirectory::existing(Some(root)) else { return not_yet(root) };
    vec![rights(root), file_system(root), disk(root), keys(), master(&data), journal(&data), clock(root, SystemTime::now())]
}

/// It is made at first use, where that is possible.
fn not_yet(root: &Path) -> Vec<Finding> {
    const SUBJECT: &str = "data directory";
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let Some(there) = root.ancestors().find(|folder| folder.exists()) else { return Vec::new() };
    let made = tempfile::tempdir_in(there);
    let finding = match made {
        Ok(_) => Finding::good(SUBJECT, format!("{} is made at first use", root.display())),
        Err(error) => Finding::bad(
            SUBJECT,
            format!("{} is not there, and nothing can be made in {}: {error}", root.display(), there.display()),
            "make it, or name another with --data-dir",
        ),
    };
    vec![finding, file_system(there), disk(there)]
}

/// Where SQLite's log cannot be shared between processes, or is not on a disk.
fn file_system(folder: &Path) -> Finding {
    const SUBJECT: &str = "file system";
    match kind(folder) {
        Some((name, Keeps::Well)) => Finding::good(SUBJECT, name.to_owned()),
        Some((name, Keeps::UntilRestart)) => {
            Finding::weak(SUBJECT, format!("{name}: what it keeps is gone after a restart of the machine"), "name a folder on a disk with --data-dir")
        }
        Some((name, Keeps::Unreliably)) => Finding::bad(
            SUBJECT,
            format!("{name}: the journal needs memory that processes share, and locks that hold"),
            "name a folder on a disk of this machine with --data-dir",
        ),
        None => Finding::good(SUBJECT, "one that is not known to be unfit".into()),
    }
}

#[derive(Clone, Copy)]
enum Keeps {
    Well,
    UntilRestart,
    Unreliably,
}

/// By the numbers of `statfs(2)`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn kind(folder: &Path) -> Option<(&'static str, Keeps)> {
    const KINDS: [(u32, &str, Keeps); 15] = [
        (0xEF53, "ext4", Keeps::Well),
        (0x9123_683E, "btrfs", Keeps::Well),
        (0x5846_5342, "xfs", Keeps::Well),
        (0x2FC1_2FC1, "zfs", Keeps::Well),
        (0xF2F5_2010, "f2fs", Keeps::Well),
        (0x794C_7630, "overlay", Keeps::Well),
        (0x0102_1994, "tmpfs", Keeps::UntilRestart),
        (0x8584_58F6, "ramfs", Keeps::UntilRestart),
        (0x0000_6969, "NFS", Keeps::Unreliably),
        (0x0000_517B, "SMB", Keeps::Unreliably),
        (0xFF53_4D42, "CIFS", Keeps::Unreliably),
        (0xFE53_4D42, "SMB", Keeps::Unreliably),
        (0x0102_1997, "9P", Keeps::Unreliably),
        (0x5346_414F, "AFS", Keeps::Unreliably),
        (0x00C3_6400, "Ceph", Keeps::Unreliably),
    ];
    let found = rustix::fs::statfs(folder).ok()?.f_type as u32;
    KINDS.iter().find(|(number, ..)| *number == found).map(|(_, name, keeps)| (*name, *keeps))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn kind(_folder: &Path) -> Option<(&'static str, Keeps)> {
    None
}

/// What opens the fleet's authority is the person's alone.
fn keys() -> Finding {
    const SUBJECT: &str = "keys";
    let folder = match DataDirectory::keys() {
        Ok(folder) => folder,
        Err(error) => return Finding::bad(SUBJECT, with_cause(&error), "set HOME"),
    };
    match fs::metadata(&folder) {
        Err(_) => Finding::good(SUBJECT, "none yet".into()),
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            let remedy = format!("chmod -R go-rwx {}", folder.display());
            Finding::bad(SUBJECT, format!("others may look into {}, which has what opens the fleet's authority", folder.display()), &remedy)
        }
        Ok(_) => Finding::good(SUBJECT, format!("{} is for its owner alone", folder.display())),
    }
}

fn master(data: &DataDirectory) -> Finding {
    const SUBJECT: &str = "master";
    let Some(process) = data.holder() else { return Finding::good(SUBJECT, "nobody is the master here now".into()) };
    match control::ask(&data.control(), &Request::Nodes) {
        Ok(Some(_)) => Finding::good(SUBJECT, format!("process {process}, and it answers")),
        Ok(None) => Finding::good(SUBJECT, format!("process {process}, for one command")),
        Err(error) => {
            let remedy = format!("wait for it, or end it with kill {process}: what it has acknowledged is kept");
            Finding::bad(SUBJECT, format!("process {process} does not answer: {}", with_cause(&error)), &remedy)
        }
    }
}

fn journal(data: &DataDirectory) -> Finding {
    const SUBJECT: &str = "journal";
    match Journal::read(&data.journal()) {
        Ok(None) => Finding::good(SUBJECT, "none yet".into()),
        Ok(Some(ledger)) => {
            Finding::good(SUBJECT, format!("it can be read: {} projects, {} jobs, {} nodes", ledger.projects.len(), ledger.jobs.len(), ledger.nodes.len()))
        }
        Err(error) => {
            let remedy = match &error {
                JournalError::Newer { .. } => "use the bitacora that wrote it, or a later one",
                _ => "keep a copy of the data directory, and `bitacora import` an export into another one with --data-dir",
            };
            Finding::bad(SUBJECT, with_cause(&error), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use fleet_agent::doctor::Verdict;

    use super::*;

    #[test]
    fn a_store_that_cannot_be_read_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let find = |subject: &str| examine(folder.path()).into_iter().find(|finding| finding.subject == subject).unwrap();
        assert_eq!((find("journal").verdict, find("master").verdict), (Verdict::Good, Verdict::Good));
        fs::write(folder.path().join("journal.sqlite"), "no journal, but long enough to be taken for something").unwrap();
        let journal = find("journal");
        assert!(journal.verdict == Verdict::Bad && journal.remedy.contains("import"), "{journal:?}");
        // One that holds the lock and has no socket is there for one command.
        let data = DataDirectory::existing(Some(folder.path())).unwrap();
        let _lock = data.lock(|_| unreachable!("nobody else has it")).unwrap();
        assert!(find("master").found.contains("one command"));
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_no_trouble_where_it_can_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a/b");
        assert_eq!(examine(&place)[0].verdict, Verdict::Good);
        assert!(!place.exists() && fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was made");
        assert_eq!(examine(Path::new("/proc/none/of/this"))[0].verdict, Verdict::Bad);
    }
}
