//! What the control group of this process gives it, versions 1 and 2: a quota of the processors, a limit of the memory.
//!
//! A limit holds for everything below it, so the least on the way up counts. In a container the path that the kernel
//! names may not exist below the mount that is seen; the way up then ends at the mount itself, which is the group.

use std::{
    fs,
    path::{Path, PathBuf},
};

const MOUNT: &str = "/sys/fs/cgroup";
/// A group deeper than that is no group of ours.
const LEVELS_MAX: usize = 64;
/// Version 1 says "no limit" by a number near 2^63.
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// Where the groups of a process lie below the mount; `None` where there is none.
#[derive(Debug, Default, PartialEq, Eq)]
struct Groups {
    unified: Option<PathBuf>,
    cpu: Option<PathBuf>,
    memory: Option<PathBuf>,
}

/// What is given, where it is less than everything.
#[derive(Debug, Default)]
pub(super) struct Limits {
    groups: Groups,
    /// Thousandths of one processor.
    cpu_permille: Option<u64>,
    memory_bytes: Option<u64>,
}

impl Limits {
    pub(super) fn read() -> Limits {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Limits::of(&own, &file)
    }

    fn of(own: &str, read: &impl Fn(&Path) -> Option<String>) -> Limits {
        let groups = Groups::parse(own);
        let cpu_permille = least(&groups.unified, |group| quota(&read(&group.join("cpu.max"))?))
            .into_iter()
            .chain(least(&groups.cpu, |group| quota_of(&read(&group.join("cpu.cfs_quota_us"))?, &read(&group.join("cpu.cfs_period_us"))?)))
            .min();
        let memory_bytes = least(&groups.unified, |group| number(&read(&group.join("memory.max"))?))
            .into_iter()
            .chain(least(&groups.memory, |group| number(&read(&group.join("memory.limit_in_bytes"))?).filter(|limit| *limit < NO_LIMIT_BYTES)))
            .min();
        Limits { groups, cpu_permille, memory_bytes }
    }

    /// Whole processors: half of one is one that is slow.
    pub(super) fn cores(&self) -> Option<u32> {
        self.cpu_permille.map(|permille| permille.div_ceil(1000).clamp(1, u64::from(u32::MAX)) as u32)
    }

    pub(super) fn memory_of(&self, machine_bytes: u64) -> u64 {
        self.memory_bytes.map_or(machine_bytes, |limit| limit.min(machine_bytes))
    }

    /// Total and available, of a machine with so much of both.
    pub(super) fn memory(&self, total: u64, available: u64) -> (u64, u64) {
        match self.memory_bytes.filter(|limit| *limit < total) {
            None => (total, available),
            Some(limit) => (limit, available.min(limit.saturating_sub(self.used(&file).unwrap_or(0)))),
        }
    }

    /// Without what the kernel would give back at once.
    fn used(&self, read: &impl Fn(&Path) -> Option<String>) -> Option<u64> {
        let of = |group: &Option<PathBuf>, used: &str, inactive: &str| {
            let group = group.as_ref()?;
            let used = number(&read(&group.join(used))?)?;
            let kept = read(&group.join("memory.stat")).and_then(|text| entry(&text, inactive)).unwrap_or(0);
            Some(used.saturating_sub(kept))
        };
        of(&self.groups.unified, "memory.current", "inactive_file").or_else(|| of(&self.groups.memory, "memory.usage_in_bytes", "total_inactive_file"))
    }
}

impl Groups {
    /// Lines of `number:controllers:path`; version 2 is number 0 without controllers.
    fn parse(own: &str) -> Groups {
        let mut groups = Groups::default();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
            let below = |folder: &str| Some(Path::new(MOUNT).join(folder).join(path.trim_start_matches('/')));
            if controllers.is_empty() {
                groups.unified = below("");
            }
            for controller in controllers.split(',') {
                match controller {
                    "cpu" => groups.cpu = below("cpu"),
                    "memory" => groups.memory = below("memory"),
                    _ => {}
                }
            }
        }
        groups
    }
}

/// The least that a group or one above it says.
fn least(group: &Option<PathBuf>, limit: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
    let group = group.as_ref()?;
    group.ancestors().take(LEVELS_MAX).take_while(|above| above.starts_with(MOUNT)).filter_map(limit).min()
}

fn file(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// `max` is none.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `50000 100000`, microseconds of each period.
fn quota(text: &str) -> Option<u64> {
    let (quota, period) = text.trim().split_once(' ')?;
    quota_of(quota, period)
}

/// -1 and `max` are none.
fn quota_of(quota: &str, period: &str) -> Option<u64> {
    number(quota)?.checked_mul(1000)?.checked_div(number(period)?).filter(|permille| *permille > 0)
}

fn entry(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').and_then(number))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn limits(own: &str, files: &[(&str, &str)]) -> Limits {
        let files: HashMap<PathBuf, String> = files.iter().map(|(path, text)| (Path::new(MOUNT).join(path), (*text).to_owned())).collect();
        Limits::of(own, &|path| files.get(path).cloned())
    }

    #[test]
    fn version_two_the_least_on_the_way_up_counts() {
        let files = [
            ("a.slice/cpu.max", "150000 100000\n"),
            ("a.slice/b.service/cpu.max", "max 100000\n"),
            ("a.slice/memory.max", "max\n"),
            ("a.slice/b.service/memory.max", "1073741824\n"),
        ];
        let limits = limits("0::/a.slice/b.service\n", &files);
        assert_eq!((limits.cores(), limits.memory_of(8 << 30)), (Some(2), 1 << 30));
        assert_eq!(limits.memory_of(1 << 20), 1 << 20, "the machine has less");
    }

    #[test]
    fn version_one_by_controller() {
        let own = "12:memory:/docker/abc\n5:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n";
        let files = [
            ("cpu/docker/abc/cpu.cfs_quota_us", "50000\n"),
            ("cpu/docker/abc/cpu.cfs_period_us", "100000\n"),
            ("cpu/cpu.cfs_quota_us", "-1\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
            ("memory/docker/abc/memory.limit_in_bytes", "268435456\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        let limits = limits(own, &files);
        assert_eq!((limits.cores(), limits.memory_of(8 << 30)), (Some(1), 256 << 20));
    }

    #[test]
    fn a_container_whose_path_is_not_below_its_mount_is_the_mount() {
        let limits = limits("0::/kubepods/pod1/c1\n", &[("cpu.max", "400000 100000"), ("memory.max", "2147483648")]);
        assert_eq!((limits.cores(), limits.memory_of(8 << 30)), (Some(4), 2 << 30));
    }

    #[test]
    fn without_limits_the_machine_counts() {
        for own in ["", "nonsense", "0::/\n", "3:cpu:/x\n"] {
            let limits = limits(own, &[("memory.max", "max"), ("cpu.max", "max 100000"), ("cpu/x/cpu.cfs_quota_us", "100"), ("cpu/x/cpu.cfs_period_us", "0")]);
            assert_eq!((limits.cores(), limits.memory(100, 50)), (None, (100, 50)), "{own:?}");
        }
    }

    #[test]
    fn a_file_that_the_kernel_could_drop_is_free_memory() {
        let files = [("g/memory.current", "900"), ("g/memory.stat", "inactive_file_x 7\ninactive_file 400\n")];
        let files: HashMap<PathBuf, String> = files.iter().map(|(path, text)| (Path::new(MOUNT).join(path), (*text).to_owned())).collect();
        let limits = Limits { groups: Groups::parse("0::/g"), ..Limits::default() };
        assert_eq!(limits.used(&|path| files.get(path).cloned()), Some(500));
    }
}
