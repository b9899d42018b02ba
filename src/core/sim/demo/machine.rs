//! A machine of the demo: a real [`Agent`] on hardware that is made up. It is loaded by what it runs, dies, is cut off and comes back.

use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};

use super::names;
use crate::{
    agent::{Agent, Effect, Event},
    ids::{Epoch, Incarnation},
    sim::{
        dice::Dice,
        node::{ENGINE, PROGRAM},
        trees,
    },
    time::{Span, Time},
    wire::{
        Envelope, FromAgent, ToAgent,
        command::{CommandEnd, ExitStatus},
        message::{Held, Output, Progress},
        node::{Load, NodeProfile},
        record::{FileSummary, Lines},
        task::{AttemptError, FileOutcome, FileResult, FileStat, RecordRef, SparkOutput, Task, TaskFile, Work},
    },
};

/// What happens on a machine is told of so often.
const LOOK_EVERY: Span = Span::from_secs(1);
/// Bytes that one slot analyses in a second: slow, so that there is something to watch.
const PACE: (u64, u64) = (15_000, 40_000);
/// How long a command runs, in milliseconds.
const COMMAND_MILLIS: (u64, u64) = (8_000, 30_000);
/// One in so many sparks takes its process with it.
const CRASH_ONE_IN: u64 = 400;
/// One in so many commands ends badly.
const BAD_ONE_IN: u64 = 12;
/// Bytes of source on a line, by the average of most languages.
const BYTES_PER_LINE: u64 = 32;
/// After an end in good order.
const RESTART_AFTER: Span = Span::from_secs(8);

pub(super) struct Machine {
    slots: u32,
    pace: u64,
    profile: NodeProfile,
    /// `None` while its process is down.
    agent: Option<Agent>,
    life: u64,
    epoch: Epoch,
    begun_at: Time,
    /// When its process, or its network, is back.
    back_at: Option<Time>,
    is_cut_off: bool,
    /// Its process is not to run: the master's own machine, while that only commands.
    is_idle: bool,
    courses: BTreeMap<Held, Course>,
    load: Load,
    looks_at: Time,
}

/// Work that goes on.
struct Course {
    task: Task,
    begun_at: Time,
    ends_at: Time,
    is_stopped: bool,
    /// Bytes of a command's output so far.
    written: u64,
}

impl Machine {
    pub(super) fn new(number: u32, dice: &mut Dice) -> Machine {
        let cores = [4, 8, 8, 16, 24, 32][dice.below(6) as usize];
        let memory_bytes = (u64::from(cores) << 30) * [2, 4][dice.below(2) as usize];
        let profile = NodeProfile {
            host: names::of(number),
            os: names::OSES[dice.below(names::OSES.len() as u64) as usize].into(),
            arch: if dice.below(3) == 0 { "aarch64" } else { "x86_64" }.into(),
            cores,
            memory_bytes,
            version: "demo".into(),
            labels: [("zone".into(), names::ZONES[dice.below(names::ZONES.len() as u64) as usize].into())].into(),
            ..NodeProfile::default()
        };
        let disk_bytes = 1 << 39;
        let load = Load { memory_bytes, disk_bytes, disk_free_bytes: disk_bytes / 10 * (2 + dice.below(6)), ..Load::default() };
        Machine {
            slots: (cores / 4).max(2),
            pace: PACE.0 + dice.below(PACE.1 - PACE.0),
            profile,
            agent: None,
            life: 0,
            epoch: Epoch(0),
            begun_at: Time(0),
            back_at: Some(Time(0)),
            is_cut_off: false,
            is_idle: false,
            courses: BTreeMap::new(),
            load,
            looks_at: Time(0),
        }
    }

    pub(super) fn is_well(&self) -> bool {
        self.agent.is_some() && !self.is_cut_off
    }

    /// Its process ends without a word.
    pub(super) fn kill(&mut self, back_at: Time) {
        self.end();
        self.back_at = Some(back_at);
    }

    pub(super) fn cut_off(&mut self, back_at: Time) {
        self.is_cut_off = true;
        self.back_at = Some(back_at);
    }

    pub(super) fn leave(&mut self, now: Time, within: Span, dice: &mut Dice, out: &mut Vec<Envelope<FromAgent>>) {
        self.tell(now, Event::Leave { until: now + within }, dice, out);
    }

    /// Is its process to run?
    pub(super) fn be_wanted(&mut self, now: Time, wanted: bool) {
        self.is_idle = !wanted;
        if wanted && self.agent.is_none() {
            self.back_at = Some(now);
        }
    }

    pub(super) fn hear(&mut self, now: Time, message: Envelope<ToAgent>, dice: &mut Dice, out: &mut Vec<Envelope<FromAgent>>) {
        if self.is_well() {
            self.tell(now, Event::Received(message), dice, out);
        }
    }

    /// What has come to pass by now.
    pub(super) fn step(&mut self, now: Time, dice: &mut Dice, out: &mut Vec<Envelope<FromAgent>>) {
        if self.back_at.is_some_and(|at| at <= now) {
            self.come_back(now, dice, out);
        }
        let looks = self.looks_at <= now;
        if looks {
            self.looks_at = now + LOOK_EVERY;
            self.sense(now, dice);
            self.tell(now, Event::Sensed(self.load.clone()), dice, out);
        }
        for held in self.courses.keys().copied().collect::<Vec<_>>() {
            let course = &self.courses[&held];
            if course.is_stopped || course.ends_at <= now {
                self.finish(now, held, dice, out);
            } else if looks {
                self.report(now, held, dice, out);
            }
        }
        if self.agent.as_ref().is_some_and(|agent| agent.next_deadline() <= now) {
            self.tell(now, Event::Woken, dice, out);
        }
    }

    fn come_back(&mut self, now: Time, dice: &mut Dice, out: &mut Vec<Envelope<FromAgent>>) {
        self.back_at = None;
        self.is_cut_off = false;
        if self.agent.is_none() && !self.is_idle {
            (self.life, self.begun_at) = (self.life + 1, now);
            let agent = Agent::new(Incarnation(self.life), self.slots, ENGINE, self.epoch);
            self.agent = Some(agent.with_programs(vec![PROGRAM.into()]).described(self.profile.clone()));
        }
        self.tell(now, Event::Connected, dice, out);
    }

    fn end(&mut self) {
        self.agent = None;
        self.courses.clear();
    }

    fn tell(&mut self, now: Time, event: Event, dice: &mut Dice, out: &mut Vec<Envelope<FromAgent>>) {
        let Some(agent) = &mut self.agent else { return };
        let mut effects = Vec::new();
        agent.handle(now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send(message) if !self.is_cut_off => out.push(message),
                Effect::Send(_) | Effect::KeepAuditHead(_) | Effect::Forget(_) | Effect::Tell(_) | Effect::Meet(_) => {}
                Effect::TryConfiguration { revision, .. } => {
                    let result = Err("a machine that is made up has no configuration".into());
                    self.tell(now, Event::Configured { revision, result }, dice, out);
                }
                Effect::KeepConfiguration | Effect::TakeBackConfiguration { .. } => unreachable!("it takes none on"),
                Effect::KeepEpoch(epoch) => self.epoch = epoch,
                Effect::Start(task) => self.begin(now, task, dice),
                Effect::Stop(held) => {
                    if let Some(course) = self.courses.get_mut(&held) {
                        course.is_stopped = true;
                    }
                }
                Effect::End => {
                    self.end();
                    self.back_at = Some(now + RESTART_AFTER);
                }
            }
        }
    }

    fn begin(&mut self, now: Time, task: Task, dice: &mut Dice) {
        let took = match &task.work {
            Work::Analyse(analysis) => Span(bytes_of(&analysis.files) * 1_000_000 / self.pace),
            Work::Run(_) => dice.millis(COMMAND_MILLIS.0, COMMAND_MILLIS.1),
            Work::Keep(_) => dice.millis(500, 2_000),
            Work::Nothing => Span(0),
        };
        let held = Held { spark: task.spark, attempt: task.attempt };
        // No two machines, and no two minutes, are equally fast.
        let ends_at = now + Span(took.0 / 100 * (80 + dice.below(50)));
        self.courses.insert(held, Course { task, begun_at: now, ends_at, is_stopped: false, written: 0 });
    }

    fn finish(&mut self, now: Time, held: Held, dice: &mut Dice, out: &mut Vec<Envelope<FromAgent>>) {
        let Some(course) = self.courses.remove(&held) else { return };
        let isolated = matches!(&course.task.work, Work::Analyse(analysis) if analysis.isolated);
        let result = match &course.task.work {
            _ if course.is_stopped => Err(AttemptError::Cancelled),
            Work::Analyse(_) if !isolated && dice.below(CRASH_ONE_IN) == 0 => Err(AttemptError::Crashed("signal 11".into())),
            Work::Analyse(analysis) => {
                Ok(SparkOutput { files: analysis.files.iter().map(|file| outcome(&analysis.root, file)).collect(), ..SparkOutput::default() })
            }
            Work::Run(_) => {
                let status = ExitStatus::Code(i32::from(dice.below(BAD_ONE_IN) == 0));
                let ended = CommandEnd { status, log: trees::digest(&[&course.written.to_le_bytes()]), log_bytes: course.written, dropped_bytes: 0 };
                Ok(SparkOutput { ended: Some(ended), ..SparkOutput::default() })
            }
            Work::Keep(_) | Work::Nothing => Ok(SparkOutput::default()),
        };
        self.tell(now, Event::Ended { held, result }, dice, out);
    }

    /// How far it is, or what it has written since.
    fn report(&mut self, now: Time, held: Held, dice: &mut Dice, out: &mut Vec<Envelope<FromAgent>>) {
        let Some(course) = self.courses.get_mut(&held) else { return };
        let Held { spark, attempt } = held;
        let event = match &course.task.work {
            Work::Analyse(analysis) => {
                let part = (now - course.begun_at).0 * 1000 / (course.ends_at - course.begun_at).0.max(1);
                let files = analysis.files.len() as u64 * part / 1000;
                Event::Progressed(Progress { spark, attempt, files: files as u32, bytes: bytes_of(&analysis.files) * part / 1000 })
            }
            Work::Run(_) => {
                let bytes = line(dice).into_bytes();
                let offset = course.written;
                course.written += bytes.len() as u64;
                Event::Written(Output { spark, attempt, offset, bytes })
            }
            Work::Keep(_) | Work::Nothing => return,
        };
        self.tell(now, event, dice, out);
    }

    /// Half of the way to what it runs, so that a curve and no step is seen.
    fn sense(&mut self, now: Time, dice: &mut Dice) {
        let busy = u64::from(self.slots.min(self.courses.len() as u32));
        let wanted = (25 + 850 * busy / u64::from(self.slots) + dice.below(70)) as u16;
        let cpu = u16::midpoint(self.load.cpu_permille, wanted);
        let memory = self.profile.memory_bytes / 100;
        self.load.cpu_permille = cpu;
        self.load.cores_permille = (0..self.profile.cores).map(|_| (u64::from(cpu) / 2 + dice.below(u64::from(cpu) + 1)).min(1000) as u16).collect();
        self.load.memory_available_bytes = memory * (78 - 45 * busy / u64::from(self.slots) + dice.below(4));
        (self.load.received_bytes_per_second, self.load.sent_bytes_per_second) =
            (busy * self.pace + dice.below(4_000), busy * self.pace / 20 + dice.below(2_000));
        self.load.temperature_millicelsius = Some(38_000 + i32::from(cpu) * 40);
        self.load.running = now - self.begun_at;
    }
}

fn bytes_of(files: &[TaskFile]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

/// As an honest engine would find it in such a file.
fn outcome(root: &[u8], file: &TaskFile) -> FileOutcome {
    let content = trees::digest(&[root, file.path.as_bytes(), &file.size.to_le_bytes()]);
    let total = (file.size / BYTES_PER_LINE) as u32;
    let lines = Lines { total, code: total - total / 6 - total / 9, comment: total / 6, blank: total / 9 };
    let (functions, symbols) = (total / 24, total / 15);
    let summary = FileSummary { bytes: file.size, lines, confidence_ppm: 1_000_000, symbols, functions, cyclomatic: functions * 4, ..FileSummary::default() };
    let result = FileResult::Analysed { content, language: file.language.clone(), record: RecordRef { pack: content, entry: 0 }, summary };
    FileOutcome { index: file.index, stat: Some(FileStat { size: file.size, ..FileStat::default() }), result }
}

fn line(dice: &mut Dice) -> String {
    let test = names::TESTS[dice.below(names::TESTS.len() as u64) as usize];
    format!("test {test}::case_{} ... ok\n", dice.below(500))
}
