//! Who parses for a worker: its own thread, or a child process that is given the next files while it is at one.

use std::{collections::VecDeque, sync::atomic::AtomicBool};

use bitacora_core::{
    ids::Digest,
    wire::{
        record::{FileRecord, FileSummary},
        task::{AttemptError, FileLimits},
    },
};

use crate::{
    analysis::{AnalysisError, Engine, LanguageIndex},
    isolation::{Child, ChildCommand},
    pack::PackWriter,
};

/// A text that was given, by its content.
struct Given {
    content: Digest,
    language: LanguageIndex,
}

enum Kind {
    Own(Box<Own>),
    /// Started once there is something to parse.
    Child {
        command: ChildCommand,
        child: Option<Box<Child>>,
        alone: bool,
    },
}

/// A thread's.
#[derive(Default)]
struct Own {
    engine: Engine,
    /// Its answer to the text that it was given last.
    made: Option<Result<FileRecord, AnalysisError>>,
}

/// Takes texts, and answers for them in the same order.
pub struct Hands {
    kind: Kind,
    given: VecDeque<Given>,
}

impl Hands {
    /// This thread's.
    pub fn own() -> Hands {
        Hands::new(Kind::Own(Box::default()))
    }

    /// A child's, for one file after another.
    pub fn child(command: &ChildCommand) -> Hands {
        Hands::new(Kind::Child { command: command.clone(), child: None, alone: false })
    }

    /// A child's that is at no second file while it is at one: what becomes of it was the doing of that file.
    pub fn suspicious(command: &ChildCommand) -> Hands {
        Hands::new(Kind::Child { command: command.clone(), child: None, alone: true })
    }

    fn new(kind: Kind) -> Hands {
        Hands { kind, given: VecDeque::new() }
    }

    /// Fresh ones: nothing is left of what these were at.
    pub fn renew(&mut self) {
        self.given.clear();
        match &mut self.kind {
            Kind::Own(own) => **own = Own::default(),
            Kind::Child { child, .. } => *child = None,
        }
    }

    /// Must an answer be taken before the next text is given?
    pub fn are_full(&self) -> bool {
        match &self.kind {
            Kind::Own(own) => own.made.is_some(),
            Kind::Child { alone: true, .. } => !self.given.is_empty(),
            Kind::Child { child, .. } => child.as_ref().is_some_and(|child| child.is_full()),
        }
    }

    pub fn are_empty(&self) -> bool {
        self.given.is_empty()
    }

    pub fn give(&mut self, content: Digest, text: &[u8], language: LanguageIndex, limits: &FileLimits, cancel: &AtomicBool) -> Result<(), AttemptError> {
        match &mut self.kind {
            Kind::Own(own) => own.made = Some(own.engine.analyse(text, language, limits, cancel)),
            Kind::Child { command, child, .. } => {
                let hands = match child {
                    Some(child) => child,
                    None => child.insert(Box::new(Child::start(command)?)),
                };
                hands.ask(text, language, limits, cancel)?;
            }
        }
        self.given.push_back(Given { content, language });
        Ok(())
    }

    /// The first text's number in the pack, and what is said of it; or why it has none. After an error they are to be renewed.
    pub fn take(&mut self, pack: &mut PackWriter, cancel: &AtomicBool) -> Result<Result<(u32, FileSummary), AnalysisError>, AttemptError> {
        let Given { content, language } = self.given.pop_front().expect("whoever takes an answer has given a text");
        let (child, alone) = match &mut self.kind {
            Kind::Own(own) => {
                let made = own.made.take().expect("the text was given");
                return Ok(made.map(|record| (pack.add(content, &record), record.summary())));
            }
            Kind::Child { child, alone, .. } => (child, *alone),
        };
        match child.as_mut().expect("it was given the text").answer(cancel) {
            Ok(Ok((written, _))) if !pack.has_room_for(&written) => Err(AttemptError::Crashed("what it says is more than a pack holds".into())),
            Ok(made) => Ok(made.map(|(written, summary)| (pack.add_written(content, language.name(), &written), summary))),
            // It hung at this file and had no other: the next one has a new child.
            Err(AttemptError::TimedOut) if alone => {
                *child = None;
                Ok(Err(AnalysisError::Hung))
            }
            Err(error) => Err(error),
        }
    }
}
