//! What the dashboard reads by running a command of this program: results, symbols, the audit. A query is a command line, and its answer that
//! command's JSON: nothing is shown here that a script could not have.

mod afar;

use std::collections::BTreeMap;

use bitacora_core::{
    ids::{JobId, ProjectId},
    time::{Span, Time},
};
use serde::{Deserialize, de::DeserializeOwned};

pub use self::afar::{Afar, HERE};
use super::clean;

/// Results of projects that are kept; the ones looked at before are asked for again.
const RESULTS_KEPT_MAX: usize = 32;
/// Symbols that are listed, with their lines.
const SYMBOLS_MAX: &str = "100";
/// Records of the audit that are listed, the newest.
const RECORDS_MAX: &str = "2000";
/// Between an answer of all fleets and the next question, while somebody looks at them.
const FLEETS_EVERY: Span = Span::from_secs(10);

/// Something to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The result that a job of a project came to.
    Result {
        project: ProjectId,
        job: JobId,
    },
    Symbols {
        project: ProjectId,
        text: String,
    },
    Audit,
    /// The nodes of all fleets.
    Fleets,
}

impl Query {
    pub fn words(&self) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Query::Result { project, .. } => words(&["project", "show", &project.to_string(), "-o", "json"]),
            Query::Symbols { project, text } => {
                words(&["symbols", "--project", &project.to_string(), "--source", "--limit", SYMBOLS_MAX, "-o", "json", "--", text])
            }
            Query::Audit => words(&["audit", "ls", "--last", RECORDS_MAX, "-o", "json"]),
            Query::Fleets => words(&["node", "ls", "--all-fleets", "-o", "json"]),
        }
    }

    /// Reads the answer.
    pub fn parse(&self, json: &[u8]) -> Result<Reply, serde_json::Error> {
        Ok(match self {
            Query::Result { .. } => Reply::Result(items::<ProjectItem>(json)?.into_iter().find_map(|project| project.summary).map(Box::new)),
            Query::Symbols { .. } => Reply::Symbols(items(json)?),
            Query::Audit => Reply::Audit(items(json)?),
            Query::Fleets => Reply::Fleets(afar::read(json)?),
        })
    }
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `None` where its packs are gone.
    Result(Option<Box<Summary>>),
    Symbols(Vec<Definition>),
    Audit(Vec<Record>),
    Fleets(Vec<Afar>),
    /// In words.
    Failed(String),
}

#[derive(Deserialize)]
struct Envelope<Item> {
    items: Vec<Item>,
}

fn items<Item: DeserializeOwned>(json: &[u8]) -> Result<Vec<Item>, serde_json::Error> {
    serde_json::from_slice::<Envelope<Item>>(json).map(|envelope| envelope.items)
}

#[derive(Deserialize)]
struct ProjectItem {
    summary: Option<Summary>,
}

/// What a result comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Summary {
    pub bytes: u64,
    pub comment: u64,
    pub blank: u64,
    pub symbols: u64,
    pub languages: Vec<Language>,
    pub worst: Vec<Worst>,
    pub skipped_by_reason: BTreeMap<String, u64>,
    pub failed_files: Vec<FailedFile>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Language {
    pub language: String,
    pub files: u64,
    pub code: u64,
    pub functions: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Worst {
    pub path: String,
    pub line: u32,
    pub function: String,
    pub code: u32,
    pub cyclomatic: u32,
    pub cognitive: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct FailedFile {
    pub path: String,
    pub reason: String,
}

/// A symbol that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Definition {
    pub path: String,
    pub language: String,
    pub name: String,
    pub kind: String,
    pub line: u32,
    pub end_line: u32,
    pub container: Option<String>,
    pub signature: String,
    pub fit: String,
    pub source: Option<Source>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Source {
    pub text: String,
    pub cut: bool,
    pub as_analysed: bool,
}

/// A record of the audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Record {
    pub number: u64,
    pub at: String,
    pub by: String,
    pub action: String,
    pub subject: String,
    pub outcome: String,
    pub reason: String,
    pub hash: String,
}

/// A search for symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    pub project: ProjectId,
    pub text: String,
    /// Its number in the log: it is a command line as all others.
    pub number: u32,
    /// `None` while it runs.
    pub found: Option<Result<Vec<Definition>, String>>,
}

/// A result that was read, or why it cannot be; `None` where its packs are gone.
pub type Read = Result<Option<Box<Summary>>, String>;

/// Everything that was read, and what is being read.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    results: BTreeMap<ProjectId, (JobId, Read)>,
    pub search: Option<Search>,
    pub audit: Vec<Record>,
    /// Why the audit cannot be read.
    pub audit_trouble: Option<String>,
    /// The audit may have grown.
    pub audit_is_due: bool,
    pub fleets: Vec<Afar>,
    /// When that was.
    pub fleets_at: Option<Time>,
    /// When they were asked last, whatever came of it.
    fleets_asked: Option<Time>,
    /// Why they cannot be asked.
    pub fleets_trouble: Option<String>,
    /// One at a time.
    waiting: Option<Query>,
    /// A fleet that is out of reach is waited for, and nothing else waits for it.
    fleets_wait: bool,
}

/// What is looked at, of what is read by a command.
pub struct Looking {
    /// The last result of a project.
    pub result: Option<(ProjectId, JobId)>,
    pub audit: bool,
    pub fleets: bool,
}

impl Asked {
    pub fn result(&self, project: ProjectId) -> Option<&Read> {
        self.results.get(&project).map(|(_, result)| result)
    }

    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// When the other fleets are to be asked, if somebody looks at them; `None` while they are being asked.
    pub fn fleets_due(&self) -> Option<Time> {
        (!self.fleets_wait).then(|| self.fleets_asked.map_or(Time::default(), |at| at + FLEETS_EVERY))
    }

    /// What is to be read now, for what is looked at.
    pub fn next(&mut self, looking: Looking, now: Time) -> Option<Query> {
        if looking.fleets && self.fleets_due().is_some_and(|due| due <= now) {
            self.fleets_wait = true;
            return Some(Query::Fleets);
        }
        if self.waiting.is_some() {
            return None;
        }
        let search = self.search.as_ref().filter(|search| search.found.is_none());
        let search = search.map(|search| Query::Symbols { project: search.project, text: search.text.clone() });
        let audit = || (looking.audit && self.audit_is_due).then_some(Query::Audit);
        let unknown = |(project, job): &(ProjectId, JobId)| self.results.get(project).is_none_or(|(known, _)| known != job);
        let result = || looking.result.filter(unknown).map(|(project, job)| Query::Result { project, job });
        self.waiting = search.or_else(audit).or_else(result);
        self.waiting.clone()
    }

    pub fn take(&mut self, query: &Query, reply: Reply, now: Time) {
        if *query != Query::Fleets {
            self.waiting = None;
        }
        match (query, reply) {
            (Query::Result { project, job }, reply) => {
                let result = match reply {
                    Reply::Result(summary) => Ok(summary),
                    Reply::Failed(why) => Err(why),
                    Reply::Symbols(_) | Reply::Audit(_) | Reply::Fleets(_) => return,
                };
                while self.results.len() >= RESULTS_KEPT_MAX {
                    self.results.pop_first();
                }
                self.results.insert(*project, (*job, result));
            }
            (Query::Symbols { project, text }, reply) => {
                // An answer to what was asked before is none to this.
                let Some(search) = self.search.as_mut().filter(|search| search.project == *project && search.text == *text) else { return };
                search.found = match reply {
                    Reply::Symbols(found) => Some(Ok(found)),
                    Reply::Failed(why) => Some(Err(why)),
                    Reply::Result(_) | Reply::Audit(_) | Reply::Fleets(_) => None,
                };
            }
            (Query::Audit, reply) => {
                self.audit_is_due = false;
                match reply {
                    Reply::Audit(records) => (self.audit, self.audit_trouble) = (records, None),
                    Reply::Failed(why) => self.audit_trouble = Some(why),
                    Reply::Result(_) | Reply::Symbols(_) | Reply::Fleets(_) => {}
                }
            }
            (Query::Fleets, reply) => {
                (self.fleets_wait, self.fleets_asked) = (false, Some(now));
                match reply {
                    Reply::Fleets(fleets) => (self.fleets, self.fleets_at, self.fleets_trouble) = (fleets, Some(now), None),
                    // What was heard before is shown with its age.
                    Reply::Failed(why) => self.fleets_trouble = Some(why),
                    Reply::Result(_) | Reply::Symbols(_) | Reply::Audit(_) => {}
                }
            }
        }
    }

    /// The symbols that were found last.
    pub fn found(&self) -> &[Definition] {
        match self.search.as_ref().and_then(|search| search.found.as_ref()) {
            Some(Ok(found)) => found,
            _ => &[],
        }
    }
}

impl Reply {
    /// Without what would steer a terminal.
    pub fn cleaned(mut self) -> Reply {
        match &mut self {
            Reply::Result(None) => {}
            Reply::Result(Some(summary)) => {
                summary.languages.iter_mut().for_each(|language| clean::mend(&mut language.language));
                summary.worst.iter_mut().for_each(|worst| [&mut worst.path, &mut worst.function].into_iter().for_each(clean::mend));
                summary.failed_files.iter_mut().for_each(|file| [&mut file.path, &mut file.reason].into_iter().for_each(clean::mend));
            }
            Reply::Symbols(found) => found.iter_mut().for_each(Definition::clean),
            Reply::Audit(records) => records.iter_mut().for_each(Record::clean),
            Reply::Fleets(fleets) => fleets.iter_mut().for_each(Afar::clean),
            Reply::Failed(why) => clean::mend(why),
        }
        self
    }
}

impl Definition {
    fn clean(&mut self) {
        [&mut self.path, &mut self.name, &mut self.kind, &mut self.signature].into_iter().for_each(clean::mend);
        self.container.iter_mut().for_each(clean::mend);
        if let Some(source) = &mut self.source {
            // A tab is four cells everywhere: its own width depends on where it stands.
            source.text = clean::output(source.text.replace('\t', "    ").as_bytes());
        }
    }
}

impl Record {
    fn clean(&mut self) {
        [&mut self.at, &mut self.by, &mut self.action, &mut self.subject, &mut self.outcome, &mut self.reason].into_iter().for_each(clean::mend);
    }
}

#[cfg(test)]
mod tests {
    use bitacora_core::ids::Epoch;

    use super::*;

    fn looking(result: Option<(ProjectId, JobId)>) -> Looking {
        Looking { result, audit: false, fleets: false }
    }

    #[test]
    fn one_thing_is_read_at_a_time_and_nothing_twice() {
        let (project, job) = (ProjectId { epoch: Epoch(1), counter: 4 }, JobId { epoch: Epoch(1), counter: 7 });
        let mut asked = Asked::default();
        let query = asked.next(looking(Some((project, job))), Time::default()).unwrap();
        assert_eq!(query.words(), ["project", "show", "p1.4", "-o", "json"]);
        assert_eq!(asked.next(looking(Some((project, job))), Time::default()), None, "it is being read");
        asked.take(&query, Reply::Result(Some(Box::default())), Time::default());
        assert_eq!(asked.next(looking(Some((project, job))), Time::default()), None, "it is known");
        let later = JobId { counter: 8, ..job };
        assert!(asked.next(looking(Some((project, later))), Time::default()).is_some(), "there is a newer one");
    }

    #[test]
    fn an_answer_to_another_search_is_none_to_this() {
        let project = ProjectId { epoch: Epoch(1), counter: 4 };
        let mut asked = Asked { search: Some(Search { project, text: "a".into(), number: 1, found: None }), ..Asked::default() };
        let query = asked.next(looking(None), Time::default()).unwrap();
        asked.search = Some(Search { project, text: "b".into(), number: 2, found: None });
        asked.take(&query, Reply::Symbols(vec![Definition::default()]), Time::default());
        assert_eq!(asked.found(), []);
        assert!(matches!(asked.next(looking(None), Time::default()), Some(Query::Symbols { text, .. }) if text == "b"));
    }

    #[test]
    fn who_waits_for_a_fleet_that_is_out_of_reach_is_answered_what_else_is_asked() {
        let (project, job) = (ProjectId { epoch: Epoch(1), counter: 4 }, JobId { epoch: Epoch(1), counter: 7 });
        let (mut asked, now) = (Asked::default(), Time::default() + Span::from_secs(60));
        let next = |asked: &mut Asked, now| asked.next(Looking { result: Some((project, job)), audit: false, fleets: true }, now);
        assert_eq!(next(&mut asked, now), Some(Query::Fleets));
        assert!(matches!(next(&mut asked, now), Some(Query::Result { .. })), "beside it");
        assert_eq!(next(&mut asked, now + FLEETS_EVERY), None, "both are being read");
        asked.take(&Query::Fleets, Reply::Fleets(vec![Afar::default()]), now);
        assert_eq!((next(&mut asked, now), asked.fleets.len()), (None, 1));
        assert_eq!(next(&mut asked, now + FLEETS_EVERY), Some(Query::Fleets), "while somebody looks");
    }

    #[test]
    fn a_query_reads_what_its_command_writes() {
        let json = br#"{"items":[{"number":1,"at":"t","by":"fleet","action":"node-joined","subject":"a\u001b","outcome":"done","reason":"","hash":"00"}]}"#;
        let Reply::Audit(records) = Query::Audit.parse(json).unwrap().cleaned() else { panic!("it is the audit") };
        assert_eq!(records[0].subject, "a\\u{1b}");
        assert!(Query::Audit.parse(b"no").is_err());
    }
}
