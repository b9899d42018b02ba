//! What `fleet-agent doctor` looks at: whether the machine lets an agent do its work, and what to do where it does not. `bitacora doctor` looks at some
//! of the same things.
//!
//! It changes nothing but a file that it makes and takes away again, and it never speaks to a master: a second link of
//! the same node would replace the one that works.

use std::{
    borrow::Cow,
    fmt, fs, io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use bitacora_core::ids::NodeId;
use serde::{Deserialize, Serialize};

use crate::{
    confine,
    link::CLOCK_FILE,
    net::{
        quic::{self, Settings},
        tls::{Identity, TlsError},
    },
    sense,
    work::with_cause,
};

/// Where mDNS speaks.
const MULTICAST: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// For our own packet to come back.
const MULTICAST_MAX: Duration = Duration::from_millis(500);
/// With less free than that a cache is no help, and with less than the second results cannot be kept.
const DISK_LOW_BYTES: u64 = 2 << 30;
const DISK_LEAST_BYTES: u64 = 256 << 20;
/// This program was not built before: 2026-01-01.
const BUILT_AFTER: Duration = Duration::from_secs(1_767_225_600);

/// From the master's clock: more than a slow link makes of it, and less than a certificate minds.
const APART_MAX: Duration = Duration::from_secs(10);

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Good,
    /// It works, and not as well as it could.
    Weak,
    /// It does not work.
    Bad,
}

impl Verdict {
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Good => "good",
            Verdict::Weak => "weak",
            Verdict::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub subject: Cow<'static, str>,
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty where that is nothing.
    pub remedy: String,
}

impl Finding {
    pub fn good(subject: &'static str, found: String) -> Finding {
        Finding { subject: subject.into(), verdict: Verdict::Good, found, remedy: String::new() }
    }

    pub fn weak(subject: &'static str, found: String, remedy: &str) -> Finding {
        Finding { subject: subject.into(), verdict: Verdict::Weak, found, remedy: remedy.to_owned() }
    }

    pub fn bad(subject: &'static str, found: String, remedy: &str) -> Finding {
        Finding { subject: subject.into(), verdict: Verdict::Bad, found, remedy: remedy.to_owned() }
    }
}

/// A line, and one for the remedy.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { subject, verdict, found, remedy } = self;
        write!(f, "{:<5} {subject}: {found}", verdict.name())?;
        if remedy.is_empty() { Ok(()) } else { write!(f, "\n      {remedy}") }
    }
}

/// Whom the doctor looks at.
#[derive(Clone, Copy, Debug)]
pub enum Patient<'a> {
    /// A node that is linked as this one.
    Linked(NodeId),
    /// An agent that listens on the first of these that it can have. It may run now.
    Agent { listen: &'a [SocketAddr], runs: bool },
}

/// Everything, in the order in which an agent needs it.
pub fn examine(data: &Path, patient: Patient<'_>) -> Vec<Finding> {
    vec![
        rights(data),
        disk(data),
        identity(data, patient),
        clock(data, SystemTime::now()),
        dialling(),
        listening(patient),
        udp_buffers(),
        multicast(),
        confinement(confine::is_available()),
    ]
}

pub fn rights(data: &Path) -> Finding {
    const SUBJECT: &str = "data directory";
    let place = data.display();
    if let Err(error) = tempfile::NamedTempFile::new_in(data) {
        return Finding::bad(
            SUBJECT,
            format!("{place} cannot be written: {error}"),
            "make it belong to the user that runs this program, or name another with --data-dir",
        );
    }
    match fs::metadata(data).map(|folder| folder.permissions().mode()) {
        Ok(mode) if mode & 0o022 != 0 => {
            Finding::weak(SUBJECT, format!("others may write in {place}"), "chmod go-w it: whoever writes there decides what this program answers")
        }
        Ok(_) => Finding::good(SUBJECT, format!("{place} can be written by its owner")),
        Err(error) => Finding::bad(SUBJECT, format!("{place} cannot be looked at: {error}"), "look at the rights of the folders above it"),
    }
}

pub fn disk(data: &Path) -> Finding {
    const SUBJECT: &str = "disk";
    const REMEDY: &str = "free some of it, or name a folder on another disk with --data-dir";
    let mebibytes = |bytes: u64| bytes >> 20;
    match sense::disk(data) {
        Ok((all, free)) => {
            let found = format!("{} MiB free of {}", mebibytes(free), mebibytes(all));
            match free {
                0..DISK_LEAST_BYTES => Finding::bad(SUBJECT, found, REMEDY),
                DISK_LEAST_BYTES..DISK_LOW_BYTES => Finding::weak(SUBJECT, found, REMEDY),
                _ => Finding::good(SUBJECT, found),
            }
        }
        Err(error) => Finding::weak(SUBJECT, format!("its size cannot be told: {error}"), "look at it with df"),
    }
}

fn identity(data: &Path, patient: Patient<'_>) -> Finding {
    const SUBJECT: &str = "identity";
    // The node of a master's own machine was given its own, and keeps none.
    if let Patient::Linked(node) = patient {
        return Finding::good(SUBJECT, format!("node {node} of its fleet, and linked"));
    }
    match Identity::load(data) {
        Ok(identity) => Finding::good(SUBJECT, format!("node {} of its fleet", identity.peer().node)),
        Err(TlsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Finding::weak(
            SUBJECT,
            "this node belongs to no fleet yet".to_owned(),
            "start it, and pair it by the code that it shows (`bitacora node pair`); or give it --join-file with a token of `bitacora node token`",
        ),
        Err(error) => Finding::bad(SUBJECT, with_cause(&error), "take the files away and join again, or mend their rights: they must be its owner's alone"),
    }
}

/// A clock that is wrong makes certificates of today look expired or not yet valid.
pub fn clock(data: &Path, now: SystemTime) -> Finding {
    const SUBJECT: &str = "clock";
    const REMEDY: &str = "set it, and keep it with chrony or systemd-timesyncd";
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since < BUILT_AFTER {
        return Finding::bad(SUBJECT, "it shows a time before this program was built".to_owned(), REMEDY);
    }
    let ahead_us: Option<i64> = fs::read_to_string(data.join(CLOCK_FILE)).ok().and_then(|text| text.trim().parse().ok());
    if let Some(ahead_us) = ahead_us.filter(|ahead_us| ahead_us.unsigned_abs() > APART_MAX.as_micros() as u64) {
        let (seconds, word) = (ahead_us.unsigned_abs() / 1_000_000, if ahead_us > 0 { "ahead of" } else { "behind" });
        return Finding::weak(SUBJECT, format!("it was {seconds} s {word} the master's when the two linked last"), REMEDY);
    }
    // Nothing of ours can be from the future.
    let ahead = fs::read_dir(data).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok()?.modified().ok()?.duration_since(now).ok()).max();
    match ahead.filter(|ahead| *ahead > Duration::from_secs(60)) {
        Some(ahead) => Finding::weak(SUBJECT, format!("it is {} s behind files that this program wrote", ahead.as_secs()), REMEDY),
        None if ahead_us.is_some() => Finding::good(SUBJECT, "it is as the master's".to_owned()),
        None => Finding::good(SUBJECT, "nothing contradicts it".to_owned()),
    }
}

/// An agent dials from a port of the system's choice.
fn dialling() -> Finding {
    const SUBJECT: &str = "dialling";
    match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.local_addr()) {
        Ok(address) => Finding::good(SUBJECT, format!("the system gives UDP ports, such as {}", address.port())),
        Err(error) => {
            Finding::bad(SUBJECT, format!("the system gives no UDP port: {error}"), "look at the limits of open files and at net.ipv4.ip_local_port_range")
        }
    }
}

/// Where masters and neighbours call, and people pair.
fn listening(patient: Patient<'_>) -> Finding {
    const SUBJECT: &str = "listening";
    let Patient::Agent { listen, runs } = patient else { return Finding::good(SUBJECT, "its master knows where it can be called".to_owned()) };
    let taken = |address: &SocketAddr| UdpSocket::bind(address).map(drop).and_then(|()| TcpListener::bind(address).map(drop)).err();
    let Some(first) = listen.first() else { return Finding::good(SUBJECT, "nobody calls it".to_owned()) };
    let Some(why) = taken(first) else { return Finding::good(SUBJECT, format!("{first} is free, for UDP and TCP")) };
    match listen.iter().skip(1).find(|address| taken(address).is_none()) {
        _ if runs && why.kind() == io::ErrorKind::AddrInUse => {
            Finding::good(SUBJECT, format!("{first} is taken, as it is to be where this node's agent, which runs, listens there"))
        }
        Some(other) => Finding::weak(
            SUBJECT,
            format!("{first} cannot be had: {why}; {} is", if other.port() == 0 { "a free port".to_owned() } else { other.to_string() }),
            "`ss -lntup` says who has it; whoever pairs with this node or calls it has to name its other port, or give it one with --listen",
        ),
        None => Finding::bad(SUBJECT, format!("{first} cannot be had: {why}"), "`ss -lntup` says who has it; --listen names another, --no-listen does without"),
    }
}

pub fn udp_buffers() -> Finding {
    const SUBJECT: &str = "udp buffers";
    let any: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    let asked = Settings::default().udp_buffer_bytes;
    match quic::bind(any, asked) {
        Err(error) => Finding::bad(SUBJECT, with_cause(&error), "look at the limits of open files"),
        Ok((_, buffers)) => match buffers.shortage() {
            None => Finding::good(SUBJECT, format!("{} KiB in each direction, as asked for", asked >> 10)),
            Some(shortage) => {
                let remedy = format!(
                    "sysctl -w net.core.rmem_max={asked} net.core.wmem_max={asked}, and the same in /etc/sysctl.d; large transfers lose packets otherwise"
                );
                Finding::weak(SUBJECT, shortage.to_string(), &remedy)
            }
        },
    }
}

pub fn multicast() -> Finding {
    const SUBJECT: &str = "multicast";
    const REMEDY: &str = "allow multicast on an interface (ip link set DEV multicast on) and in the firewall; without it nodes are not found by themselves, and an address (--peer, `node pair ADDR`) does as well";
    match heard_ourselves() {
        Ok(()) => Finding::good(SUBJECT, format!("our own packet to {MULTICAST} came back")),
        Err(error) => Finding::weak(SUBJECT, format!("our own packet to {MULTICAST} did not come back: {error}"), REMEDY),
    }
}

fn confinement(is_available: bool) -> Finding {
    const SUBJECT: &str = "landlock";
    match is_available {
        true => Finding::good(SUBJECT, "children that analyse can be kept from every file but those that they are given".to_owned()),
        false => Finding::weak(
            SUBJECT,
            "this kernel cannot keep children that analyse from files of no concern to them".to_owned(),
            "a kernel from 5.13 on, with landlock among the words of /sys/kernel/security/lsm; without it --writable refuses commands",
        ),
    }
}

fn heard_ourselves() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.join_multicast_v4(&MULTICAST, &Ipv4Addr::UNSPECIFIED)?;
    socket.set_multicast_loop_v4(true)?;
    socket.set_read_timeout(Some(MULTICAST_MAX))?;
    let ours = b"bitacora doctor";
    socket.send_to(ours, SocketAddrV4::new(MULTICAST, socket.local_addr()?.port()))?;
    let mut heard = [0; 64];
    let (bytes, _) = socket.recv_from(&mut heard)?;
    if heard[..bytes] == ours[..] { Ok(()) } else { Err(io::Error::other("another one did")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_may_write_in_is_named() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(rights(data.path()).verdict, Verdict::Good);
        fs::set_permissions(data.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(rights(data.path()).verdict, Verdict::Weak);
        let missing = rights(&data.path().join("none"));
        assert_eq!(missing.verdict, Verdict::Bad);
        assert!(missing.remedy.contains("--data-dir"));
    }

    #[test]
    fn a_clock_that_contradicts_what_was_written_is_named() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("file"), "").unwrap();
        assert_eq!(clock(data.path(), SystemTime::now()).verdict, Verdict::Good);
        assert_eq!(clock(data.path(), SystemTime::now() - Duration::from_secs(3600)).verdict, Verdict::Weak);
        assert_eq!(clock(data.path(), SystemTime::UNIX_EPOCH).verdict, Verdict::Bad);
        for (ahead_us, verdict) in [("120000", Verdict::Good), ("-90000000", Verdict::Weak), ("90000000", Verdict::Weak)] {
            fs::write(data.path().join(CLOCK_FILE), ahead_us).unwrap();
            assert_eq!(clock(data.path(), SystemTime::now()).verdict, verdict, "{ahead_us}");
        }
    }

    #[test]
    fn a_port_that_somebody_else_has_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, any) = (taken.local_addr().unwrap(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let look = |listen: &[SocketAddr], runs| listening(Patient::Agent { listen, runs });
        assert_eq!((look(&[address], false).verdict, look(&[address], true).verdict), (Verdict::Bad, Verdict::Good));
        assert_eq!(look(&[address, any], false).verdict, Verdict::Weak);
        assert!(look(&[address], false).found.contains(&address.to_string()));
        drop(taken);
        assert_eq!(look(&[address], false).verdict, Verdict::Good);
    }

    #[test]
    fn whatever_is_not_good_has_a_remedy() {
        let data = tempfile::tempdir().unwrap();
        for finding in examine(data.path(), Patient::Agent { listen: &[], runs: false }) {
            assert_eq!(finding.verdict == Verdict::Good, finding.remedy.is_empty(), "{finding:?}");
        }
    }
}
