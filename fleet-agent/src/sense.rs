//! Readings of the machine: what it is, and how loaded it is. On a thread of its own and at a low rate, so that neither
//! heartbeats nor work wait for a slow sensor.
//!
//! Where a control group gives less than the machine has, what counts is what it gives. Nothing is decided here, and a
//! reading that cannot be had is zero or `None`: a node without a thermometer is a node.

mod cgroup;

use std::{
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bitacora_core::{
    time::Span,
    wire::node::{Load, NodeProfile},
};
use crossbeam_channel::{RecvTimeoutError, Sender};
use sysinfo::{Components, Networks, System};

use self::cgroup::Limits;
use crate::net::discovery::clean_name;

/// Between two readings: rare enough to cost nothing, often enough for a person who looks.
const SENSE_EVERY: Duration = Duration::from_secs(2);
/// To the first one: a load is a difference of two counters.
const SENSE_FIRST: Duration = Duration::from_millis(300);
/// Of a machine without a name.
const NAMELESS: &str = "node";
/// Every so many readings the thermometers are read too: there may be dozens, and some are slow.
const THERMOMETERS_EVERY: u32 = 5;
/// What a working thermometer can show, in degrees; some show nonsense.
const PLAUSIBLE_CELSIUS: std::ops::RangeInclusive<f32> = -60.0..=150.0;

/// What this machine is; labels and specialisations are its owner's to add.
pub fn profile() -> NodeProfile {
    let limits = Limits::read();
    let unknown = |_| "unknown".to_owned();
    NodeProfile {
        host: System::host_name().unwrap_or_else(unknown),
        os: System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.to_owned()),
        arch: std::env::consts::ARCH.to_owned(),
        cores: cores(&limits),
        memory_bytes: limits.memory_of(machine_memory()),
        gpus: gpus(Path::new("/")),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: crate::BUILD.to_owned(),
        ..NodeProfile::default()
    }
}

/// What this machine is called where nobody has given it a name.
pub fn machine_name() -> String {
    clean_name(&rustix::system::uname().nodename().to_string_lossy()).unwrap_or_else(|| NAMELESS.to_owned())
}

fn cores(limits: &Limits) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    limits.cores().map_or(cores, |quota| cores.min(quota))
}

fn machine_memory() -> u64 {
    System::new().map_or(0, |mut system| {
        system.refresh_memory();
        system.total_memory()
    })
}

/// Cards that a driver has taken charge of, below a root that tests choose.
fn gpus(root: &Path) -> u32 {
    let count = |folder: &str, stem: &str| {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| is_numbered(name, stem))).count() as u32
    };
    // The same card may be known by both names.
    count("dev", "nvidia").max(count("sys/class/drm", "renderD"))
}

fn is_numbered(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The thread that reads. Dropping it ends it.
pub struct Sensing {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sensing {
    /// Reads until it is dropped; `tell` must not block.
    pub fn start(data: PathBuf, tell: impl Fn(Load) + Send + 'static) -> Sensing {
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let thread = std::thread::Builder::new().name("senses".into()).spawn(move || {
            let Ok(mut senses) = Senses::new(data) else { return };
            let mut wait = SENSE_FIRST;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                tell(senses.load());
                wait = SENSE_EVERY;
            }
        });
        // A machine that has no thread left for this has greater troubles.
        Sensing { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for Sensing {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

/// What is kept between two readings.
struct Senses {
    system: System,
    networks: Networks,
    thermometers: Option<Components>,
    limits: Limits,
    data: PathBuf,
    begun: Instant,
    last: Instant,
    readings: u32,
    temperature: Option<i32>,
}

impl Senses {
    fn new(data: PathBuf) -> Result<Senses, sysinfo::Error> {
        let mut system = System::new()?;
        system.refresh_cpu_usage();
        Ok(Senses {
            system,
            networks: Networks::new_with_refreshed_list()?,
            thermometers: Components::new_with_refreshed_list().ok(),
            limits: Limits::read(),
            data,
            begun: Instant::now(),
            last: Instant::now(),
            readings: 0,
            temperature: None,
        })
    }

    fn load(&mut self) -> Load {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.networks.refresh(true);
        let passed = self.last.elapsed();
        self.last = Instant::now();
        if self.readings.is_multiple_of(THERMOMETERS_EVERY) {
            self.temperature = self.thermometers.as_mut().and_then(hottest);
        }
        self.readings = self.readings.wrapping_add(1);
        let (received, sent) = self.traffic(passed);
        let (disk_bytes, disk_free_bytes) = disk(&self.data).unwrap_or((0, 0));
        let (memory_bytes, memory_available_bytes) = self.limits.memory(self.system.total_memory(), self.system.available_memory());
        Load {
            cpu_permille: permille(self.system.global_cpu_usage()),
            cores_permille: self.system.cpus().iter().map(|core| permille(core.usage())).collect(),
            memory_bytes,
            memory_available_bytes,
            disk_bytes,
            disk_free_bytes,
            received_bytes_per_second: received,
            sent_bytes_per_second: sent,
            temperature_millicelsius: self.temperature,
            running: Span(self.begun.elapsed().as_micros() as u64),
            // Counted by others.
            ..Load::default()
        }
    }

    /// Of every interface but the loopback, a second.
    fn traffic(&self, passed: Duration) -> (u64, u64) {
        let cables = || self.networks.iter().filter(|(name, _)| *name != "lo" && *name != "lo0").map(|(_, network)| network);
        let a_second = |bytes: u64| (u128::from(bytes) * 1_000_000).checked_div(passed.as_micros()).unwrap_or(0) as u64;
        (a_second(cables().map(|network| network.received()).sum()), a_second(cables().map(|network| network.transmitted()).sum()))
    }
}

fn permille(percent: f32) -> u16 {
    (percent * 10.0).round().clamp(0.0, 1000.0) as u16
}

fn hottest(thermometers: &mut Components) -> Option<i32> {
    thermometers.refresh(false);
    let plausible = thermometers.iter().filter_map(|part| part.temperature()).filter(|celsius| PLAUSIBLE_CELSIUS.contains(celsius));
    plausible.map(|celsius| (celsius * 1000.0) as i32).max()
}

/// Bytes of the disk of a folder, and those that we may still fill.
pub fn disk(folder: &Path) -> std::io::Result<(u64, u64)> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok((disk.f_blocks.saturating_mul(disk.f_frsize), disk.f_bavail.saturating_mul(disk.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_cores_memory_and_a_disk() {
        let profile = profile();
        assert!(profile.cores > 0 && profile.memory_bytes > 0 && !profile.host.is_empty() && !profile.os.is_empty(), "{profile:?}");
        let folder = tempfile::tempdir().unwrap();
        let (tx, rx) = crossbeam_channel::unbounded();
        let sensing = Sensing::start(folder.path().to_owned(), move |load| tx.send(load).unwrap());
        let load = rx.recv().unwrap();
        drop(sensing);
        assert!(load.memory_bytes >= load.memory_available_bytes && load.memory_available_bytes > 0, "{load:?}");
        assert!(load.disk_bytes >= load.disk_free_bytes && load.disk_bytes > 0, "{load:?}");
        assert!(!load.cores_permille.is_empty() && load.running > Span(0), "{load:?}");
        assert!(rx.recv().is_err(), "it ended");
    }

    #[test]
    fn cards_are_counted_once() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(gpus(root.path()), 0);
        for name in ["dev/nvidia0", "dev/nvidia1", "dev/nvidiactl", "sys/class/drm/renderD128", "sys/class/drm/card0"] {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
        }
        assert_eq!(gpus(root.path()), 2);
    }

    #[test]
    fn percents_become_whole_numbers() {
        assert_eq!([permille(0.0), permille(12.34), permille(250.0), permille(f32::NAN)], [0, 123, 1000, 0]);
    }
}
