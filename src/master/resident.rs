//! The agent of this machine: a child process that runs exactly while the fleet says so. Nothing is decided here but when one
//! that ended is started again.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::{Child, ExitStatus},
    time::{Duration, Instant, SystemTime},
};

use bitacora_core::{
    fleet::{Event, OwnRole, Requester},
    ids::NodeId,
    time::{Span, Time},
};
use fleet_agent::{
    isolation::ChildCommand,
    logging,
    net::tls::{Authority, TlsError},
    resident::{self, LEAVE_MAX, Orders},
    sense,
    work::with_cause,
};
use rustix::process::{Pid, Signal, kill_process};

use super::{Master, MasterError, now};
use crate::{
    control::{self, Answer},
    trust,
};

/// To the next start of one that ended: doubled each time, from the first to the second.
const RESTART_FIRST: Span = Span::from_millis(200);
const RESTART_MAX: Span = Span::from_secs(30);
/// One that ran for so long did not end of what the one before it ended of.
const SETTLED_AFTER: Span = Span::from_secs(60);
/// Beyond the time that it has for leaving: for its last word, and for the answer to that.
const LEAVE_GRACE: Span = Span::from_secs(5);
/// For one whose master ends; it ends at once.
const END_MAX: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What the agent of this machine is started with.
pub struct Lodging {
    /// This program.
    pub program: PathBuf,
    /// Sparks that run at the same time.
    pub slots: u32,
    /// That commands may run.
    pub programs: BTreeSet<String>,
}

/// The agent of this machine, whether it runs now or not.
pub(super) struct Resident {
    lodging: Lodging,
    process: Process,
    /// To the next start after the next end.
    wait: Span,
}

enum Process {
    /// Not to be started before that.
    Gone {
        until: Time,
    },
    Runs {
        node: NodeId,
        child: Child,
        since: Time,
    },
    /// It was told to end, and is killed at that time.
    Leaves {
        child: Child,
        until: Time,
    },
}

impl Resident {
    fn new(lodging: Lodging) -> Resident {
        Resident { lodging, process: Process::Gone { until: Time(0) }, wait: RESTART_FIRST }
    }

    /// Makes what runs what is wanted. Answers with what went wrong, in words.
    fn tend(&mut self, now: Time, wanted: Option<NodeId>, start: impl FnOnce(&Lodging, NodeId) -> io::Result<Child>) -> Option<String> {
        match &mut self.process {
            Process::Gone { until } => {
                let node = wanted.filter(|_| *until <= now)?;
                match start(&self.lodging, node) {
                    Ok(child) => self.process = Process::Runs { node, child, since: now },
                    Err(error) => return Some(self.rest(now, format!("could not be started: {}", with_cause(&error)))),
                }
            }
            Process::Runs { node, child, since } => {
                if let Some(status) = ended(child) {
                    if now - *since >= SETTLED_AFTER {
                        self.wait = RESTART_FIRST;
                    }
                    return Some(self.rest(now, format!("ended: {status}")));
                }
                if wanted != Some(*node) {
                    // One that has ended just now is seen the next time.
                    let _ = kill_process(Pid::from_child(child), Signal::TERM);
                    self.leave(now + LEAVE_MAX + LEAVE_GRACE);
                }
            }
            Process::Leaves { child, until } => {
                if ended(child).is_some() {
                    (self.process, self.wait) = (Process::Gone { until: now }, RESTART_FIRST);
                } else if *until <= now {
                    let _ = child.kill();
                }
            }
        }
        None
    }

    fn leave(&mut self, until: Time) {
        let process = std::mem::replace(&mut self.process, Process::Gone { until: Time(0) });
        if let Process::Runs { child, .. } = process {
            self.process = Process::Leaves { child, until };
        }
    }

    fn rest(&mut self, now: Time, what: String) -> String {
        let wait = self.wait;
        self.process = Process::Gone { until: now + wait };
        self.wait = Span((wait.0 * 2).min(RESTART_MAX.0));
        format!("{what}; it is started again in {:.1} s", wait.as_secs_f64())
    }
}

/// One that cannot be asked has not ended.
fn ended(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().ok().flatten()
}

impl Drop for Resident {
    fn drop(&mut self) {
        let (Process::Runs { child, .. } | Process::Leaves { child, .. }) = &mut self.process else { return };
        drop(child.stdin.take());
        let begun = Instant::now();
        while ended(child).is_none() && begun.elapsed() < END_MAX {
            std::thread::sleep(LOOK_EVERY);
        }
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Master {
    /// From now on this machine can run work, which it does while that is its role. To be called once links are open.
    pub fn lodge(&mut self, lodging: Lodging) {
        if let Some(serving) = &mut self.serving {
            serving.resident = Some(Resident::new(lodging));
        }
    }

    /// What this machine does from now on, if it is something else than before.
    pub fn take_role(&mut self, role: OwnRole) -> Result<(), MasterError> {
        if self.ledger().role != Some(role) {
            let name = self.own_name();
            self.request(Event::RoleChosen { role, name })?;
        }
        Ok(())
    }

    /// Somebody says what the machine of this name, or without one this machine, does. Only this one can be told: what others do is what they were started for.
    pub(super) fn choose_role(&mut self, by: Requester, wanted: &str, role: OwnRole) -> Result<Answer, MasterError> {
        if self.serving.as_ref().is_none_or(|serving| serving.resident.is_none()) {
            return Ok(Answer::Refused("this bitacora serves one command and no fleet".into()));
        }
        let name = self.own_name();
        let is_called = |id: NodeId, name: &str| name == wanted || id.to_string() == wanted;
        if !wanted.is_empty() && name != wanted && !self.ledger().resident.is_some_and(|own| is_called(own, &name)) {
            let is_other = self.ledger().nodes.iter().any(|(id, node)| is_called(*id, &node.name));
            let only = format!("only the machine of the master changes its role, and that is {name}");
            return Ok(if is_other {
                Answer::Refused(format!("{wanted} is a worker; {only}"))
            } else {
                Answer::Unknown(format!("there is no node {wanted}; {only}"))
            });
        }
        Ok(control::outcome(&self.turn_for(by, [Event::RoleChosen { role, name }])?))
    }

    /// As a node, or else as a machine.
    fn own_name(&self) -> String {
        let node = self.ledger().resident.and_then(|id| self.ledger().nodes.get(&id));
        node.map_or_else(sense::machine_name, |node| node.name.clone())
    }

    /// Starts and ends the agent of this machine as its role wants it.
    pub(super) fn tend_resident(&mut self) {
        let wanted = self.fleet.resident();
        let Some(serving) = &mut self.serving else { return };
        let Some(resident) = &mut serving.resident else { return };
        let (authority, masters) = (&serving.authority, loopback(serving.links.address()));
        let data = self.data.root();
        let trouble = resident.tend(now(), wanted, |lodging, node| {
            let arguments = vec!["--data-dir".into(), data.into(), "run-agent".into()];
            let orders = orders(lodging, authority, node, &masters).map_err(io::Error::other)?;
            resident::start(&ChildCommand { program: lodging.program.clone(), arguments }, &orders)
        });
        if let (Some(trouble), Some(node)) = (trouble, wanted) {
            self.timeline.add(now(), "agent-ended", node.to_string(), trouble);
            self.watching.stir();
        }
    }
}

fn orders(lodging: &Lodging, authority: &Authority, node: NodeId, masters: &[SocketAddr]) -> Result<Orders, TlsError> {
    let identity = trust::resident_identity(authority, node, SystemTime::now())?.to_pem();
    Ok(Orders {
        identity,
        masters: masters.iter().map(ToString::to_string).collect(),
        slots: lodging.slots,
        programs: lodging.programs.clone(),
        log: logging::manner(),
    })
}

/// Where a process of this machine reaches who listens there; one that listens on every address of both families is reached by
/// either, unless this machine has only one of them.
fn loopback(address: SocketAddr) -> Vec<SocketAddr> {
    let at = |ip: IpAddr| SocketAddr::new(ip, address.port());
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![at(Ipv4Addr::LOCALHOST.into())],
        IpAddr::V6(ip) if ip.is_unspecified() => vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())],
        IpAddr::V4(_) | IpAddr::V6(_) => vec![address],
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const NODE: NodeId = NodeId(1);

    fn resident() -> Resident {
        Resident::new(Lodging { program: PathBuf::new(), slots: 1, programs: BTreeSet::new() })
    }

    /// Ends when its standard input does.
    fn patient(_: &Lodging, _: NodeId) -> io::Result<Child> {
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
    }

    fn tend_until(resident: &mut Resident, now: Time, wanted: Option<NodeId>, done: impl Fn(&Resident, &Option<String>) -> bool) -> Option<String> {
        let begun = Instant::now();
        loop {
            let said = resident.tend(now, wanted, patient);
            if done(resident, &said) {
                return said;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn pid(resident: &Resident) -> Option<u32> {
        match &resident.process {
            Process::Runs { child, .. } => Some(child.id()),
            Process::Gone { .. } | Process::Leaves { .. } => None,
        }
    }

    #[test]
    fn one_that_ends_is_started_again_ever_later_until_it_has_settled() {
        let (mut resident, mut now) = (resident(), Time(0));
        for wait in [200_u32, 400, 800] {
            assert_eq!(resident.tend(now, Some(NODE), patient), None);
            assert!(Command::new("kill").arg("-9").arg(pid(&resident).unwrap().to_string()).status().unwrap().success());
            let said = tend_until(&mut resident, now, Some(NODE), |_, said| said.is_some()).unwrap();
            assert!(said.contains("signal: 9") && said.contains(&format!("{:.1} s", f64::from(wait) / 1e3)), "{said}");
            resident.tend(Time(now.0 + u64::from(wait) * 1_000 - 1), Some(NODE), patient);
            assert_eq!(pid(&resident), None, "not yet");
            now += Span::from_millis(wait.into());
        }
        resident.tend(now, Some(NODE), patient);
        assert!(Command::new("kill").arg(pid(&resident).unwrap().to_string()).status().unwrap().success());
        let said = tend_until(&mut resident, now + SETTLED_AFTER, Some(NODE), |_, said| said.is_some()).unwrap();
        assert!(said.contains("0.2 s"), "{said}");
    }

    #[test]
    fn one_that_is_not_wanted_any_more_is_told_to_end() {
        let mut resident = resident();
        resident.tend(Time(0), Some(NODE), patient);
        let first = pid(&resident).unwrap();
        tend_until(&mut resident, Time(0), None, |resident, _| matches!(resident.process, Process::Gone { .. }));
        assert_eq!(resident.tend(Time(0), None, patient), None);
        assert_eq!(pid(&resident), None);
        resident.tend(Time(0), Some(NODE), patient);
        assert!(pid(&resident).is_some_and(|second| second != first), "and started at once when it is");
    }

    #[test]
    fn one_that_cannot_be_started_is_tried_again() {
        let mut resident = resident();
        let said = resident.tend(Time(0), Some(NODE), |_, _| Err(io::Error::other("no memory"))).unwrap();
        assert!(said.contains("no memory") && said.contains("0.2 s"), "{said}");
        assert!(resident.tend(Time(0), Some(NODE), patient).is_none() && pid(&resident).is_none());
        resident.tend(Time(0) + RESTART_FIRST, Some(NODE), patient);
        assert!(pid(&resident).is_some());
    }

    #[test]
    fn the_master_is_reached_over_the_loopback_unless_it_listens_on_one_address() {
        let of = |listens: &str| loopback(listens.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        for (listens, reached) in [("0.0.0.0:7", "127.0.0.1:7"), ("[::]:7", "127.0.0.1:7 [::1]:7"), ("192.0.2.1:7", "192.0.2.1:7"), ("[::1]:7", "[::1]:7")] {
            assert_eq!(of(listens), reached);
        }
    }
}
