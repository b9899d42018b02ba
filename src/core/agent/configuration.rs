//! A configuration from afar, on trial: this node lives by it until its master has said that it hears it, and otherwise goes back.
//!
//! What a configuration says is not known here, and neither is where it is kept.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::{Agent, Effect};
use crate::{
    time::Time,
    wire::{
        FromAgent,
        configuration::{ConfigurationOutcome, ConfigurationReport, TEXT_BYTES_MAX, TRIAL_MAX},
        node::NodeProfile,
        warrant::Warrant,
    },
};

/// What a configuration comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lived {
    pub profile: Box<NodeProfile>,
    pub slots: u32,
}

/// A configuration that this node lives by until its master has heard so, or for so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    revision: u64,
    pub(super) until: Time,
}

impl Agent {
    /// One at a time: what to go back to is one.
    pub(super) fn on_update(&mut self, revision: u64, text: String, warrant: &Warrant, out: &mut Vec<Effect>) {
        if let Some(objection) = self.profile.accepts.objection_to_device(warrant) {
            self.refused += 1;
            return self.report(revision, ConfigurationOutcome::Refused { reason: objection.describe().into() }, out);
        }
        if text.len() > TEXT_BYTES_MAX || self.trial.is_some_and(|trial| trial.revision != revision) {
            let reason = "another configuration is on trial, or this one is too long".into();
            return self.report(revision, ConfigurationOutcome::Refused { reason }, out);
        }
        if self.trial.is_none() {
            out.push(Effect::TryConfiguration { revision, text });
        }
    }

    pub(super) fn on_configured(&mut self, now: Time, revision: u64, result: Result<Lived, String>, out: &mut Vec<Effect>) {
        match result {
            Err(reason) => self.report(revision, ConfigurationOutcome::Refused { reason }, out),
            Ok(lived) => {
                self.trial = Some(Trial { revision, until: now + TRIAL_MAX });
                self.live_by(lived, out);
                self.report_trial(out);
            }
        }
    }

    pub(super) fn on_kept(&mut self, revision: u64, out: &mut Vec<Effect>) {
        if self.trial.take_if(|trial| trial.revision == revision).is_some() {
            out.push(Effect::KeepConfiguration);
        }
    }

    pub(super) fn on_restored(&mut self, revision: u64, lived: Lived, out: &mut Vec<Effect>) {
        self.live_by(lived, out);
        self.report(revision, ConfigurationOutcome::RolledBack, out);
    }

    /// The master hears at once what it may count on. What runs in a slot too many runs to its end.
    fn live_by(&mut self, lived: Lived, out: &mut Vec<Effect>) {
        (self.profile, self.slots) = (*lived.profile, lived.slots);
        self.say_hello(out);
    }

    pub(super) fn end_trial(&mut self, now: Time, out: &mut Vec<Effect>) {
        if let Some(trial) = self.trial.take_if(|trial| trial.until <= now) {
            out.push(Effect::TakeBackConfiguration { revision: trial.revision });
        }
    }

    pub(super) fn report_trial(&self, out: &mut Vec<Effect>) {
        if let Some(trial) = self.trial {
            self.report(trial.revision, ConfigurationOutcome::Applied, out);
        }
    }

    fn report(&self, revision: u64, outcome: ConfigurationOutcome, out: &mut Vec<Effect>) {
        self.say(FromAgent::Configuration(ConfigurationReport { revision, outcome }), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::Event,
        ids::{Attempt, Digest, Epoch, Incarnation, JobId, SparkId},
        time::Span,
        wire::{
            Envelope, ToAgent,
            message::Held,
            task::{SparkOutput, Task, Work},
            warrant::Acceptance,
        },
    };

    const NOW: Time = Time(1_000_000);

    fn handle(agent: &mut Agent, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        agent.handle(now, event, &mut out);
        agent.check();
        out
    }

    fn receive(agent: &mut Agent, body: ToAgent) -> Vec<Effect> {
        handle(agent, NOW, Event::Received(Envelope { epoch: Epoch(1), incarnation: Incarnation(7), body }))
    }

    fn reports(out: &[Effect], outcome: ConfigurationOutcome) -> bool {
        let body = FromAgent::Configuration(ConfigurationReport { revision: 3, outcome });
        out.iter().any(|effect| matches!(effect, Effect::Send(message) if message.body == body))
    }

    fn slots_said(out: &[Effect]) -> Option<u32> {
        out.iter().find_map(|effect| match effect {
            Effect::Send(Envelope { body: FromAgent::Hello { slots, .. }, .. }) => Some(*slots),
            _ => None,
        })
    }

    fn lived(slots: u32) -> Lived {
        Lived { profile: Box::default(), slots }
    }

    fn agent() -> Agent {
        let mut agent = Agent::new(Incarnation(7), 2, Digest::default(), Epoch(0));
        handle(&mut agent, NOW, Event::Connected);
        receive(&mut agent, ToAgent::SyncState);
        agent
    }

    /// An agent that lives by a new configuration, of so many slots, whose master has not heard so.
    fn on_trial(mut agent: Agent, slots: u32) -> Agent {
        let update = || ToAgent::UpdateConfiguration { revision: 3, text: "x".into(), warrant: Warrant::default() };
        assert_eq!(receive(&mut agent, update()), [Effect::TryConfiguration { revision: 3, text: "x".into() }]);
        let out = handle(&mut agent, NOW, Event::Configured { revision: 3, result: Ok(lived(slots)) });
        assert!(reports(&out, ConfigurationOutcome::Applied) && slots_said(&out) == Some(slots), "{out:?}");
        assert_eq!(receive(&mut agent, update()), [], "the same again is no second trial");
        agent
    }

    #[test]
    fn a_configuration_stays_when_the_master_has_heard_of_it() {
        let mut agent = on_trial(agent(), 3);
        assert_eq!(receive(&mut agent, ToAgent::KeepConfiguration { revision: 2 }), [], "another one");
        assert_eq!(receive(&mut agent, ToAgent::KeepConfiguration { revision: 3 }), [Effect::KeepConfiguration]);
        let out = handle(&mut agent, NOW + TRIAL_MAX, Event::Woken);
        assert!(!out.iter().any(|effect| matches!(effect, Effect::TakeBackConfiguration { .. })), "{out:?}");
    }

    #[test]
    fn a_configuration_without_the_master_s_word_is_taken_back() {
        let mut agent = on_trial(agent(), 3);
        assert!(agent.next_deadline() <= NOW + TRIAL_MAX);
        let out = handle(&mut agent, NOW + TRIAL_MAX, Event::Woken);
        assert!(out.contains(&Effect::TakeBackConfiguration { revision: 3 }), "{out:?}");
        let out = handle(&mut agent, NOW + TRIAL_MAX, Event::Restored { revision: 3, lived: lived(2) });
        assert!(reports(&out, ConfigurationOutcome::RolledBack) && slots_said(&out) == Some(2), "{out:?}");
        assert_eq!(receive(&mut agent, ToAgent::KeepConfiguration { revision: 3 }), [], "too late");
    }

    #[test]
    fn a_configuration_that_cannot_be_is_refused_and_changes_nothing() {
        let mut agent = agent();
        let out = handle(&mut agent, NOW, Event::Configured { revision: 3, result: Err("no".into()) });
        assert!(reports(&out, ConfigurationOutcome::Refused { reason: "no".into() }) && slots_said(&out).is_none(), "{out:?}");
        let long = ToAgent::UpdateConfiguration { revision: 4, text: "x".repeat(TEXT_BYTES_MAX + 1), warrant: Warrant::default() };
        assert!(matches!(receive(&mut agent, long).as_slice(), [Effect::Send(_)]));
        let mut agent = on_trial(agent, 3);
        let other = ToAgent::UpdateConfiguration { revision: 5, text: "y".into(), warrant: Warrant::default() };
        assert!(matches!(receive(&mut agent, other).as_slice(), [Effect::Send(_)]), "one at a time");
    }

    #[test]
    fn a_device_that_is_not_its_owner_s_changes_nothing() {
        let accepts = Acceptance { devices: alloc::vec!["phone".into()], ..Acceptance::default() };
        let mut agent = agent().described(NodeProfile { accepts, ..NodeProfile::default() });
        let by = |device: Option<&str>| ToAgent::UpdateConfiguration {
            revision: 3,
            text: "x".into(),
            warrant: Warrant { device: device.map(String::from), project: None },
        };
        assert!(matches!(receive(&mut agent, by(Some("tablet"))).as_slice(), [Effect::Send(_)]));
        assert_eq!(agent.refused(), 1);
        for device in [Some("phone"), None] {
            assert!(matches!(receive(&mut agent, by(device)).as_slice(), [Effect::TryConfiguration { .. }]), "{device:?}");
        }
    }

    #[test]
    fn what_runs_in_a_slot_too_many_runs_to_its_end() {
        let mut agent = agent();
        let task = |number| Task {
            spark: SparkId { job: JobId::default(), number },
            attempt: Attempt(1),
            work: Work::Nothing,
            timeout: Span::from_secs(60),
            slots: 1,
            warrant: Warrant::default(),
        };
        let begun = |out: &[Effect]| out.iter().filter(|effect| matches!(effect, Effect::Start(_))).count();
        for number in 0..2 {
            assert_eq!(begun(&receive(&mut agent, ToAgent::ExecuteTask(task(number)))), 1);
        }
        let mut agent = on_trial(agent, 1);
        assert_eq!(begun(&receive(&mut agent, ToAgent::ExecuteTask(task(2)))), 0);
        let end = |number| Event::Ended { held: Held { spark: task(number).spark, attempt: Attempt(1) }, result: Ok(SparkOutput::default()) };
        assert_eq!(begun(&handle(&mut agent, NOW, end(0))), 0, "one still runs, and there is one slot");
        assert_eq!(begun(&handle(&mut agent, NOW, end(1))), 1);
    }
}
