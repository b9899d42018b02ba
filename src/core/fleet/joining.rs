//! Reactions about joining: which tokens are open, for how long, and what they are worth.
//!
//! Tokens are not in the journal: they end with the master that made them, and what proves them never comes here.

use alloc::{string::String, vec::Vec};

use super::{Action, Effect, Fleet, Notice, Refusal, Requester, Right};
use crate::{
    ids::TokenId,
    time::{Span, Time},
};

/// A token that was given out and not yet used.
#[derive(Clone, Debug)]
pub(super) struct OpenToken {
    /// What the node or device will be called.
    name: String,
    /// Of a person's device; a node's otherwise.
    operator: Option<Right>,
    until: Time,
}

impl Fleet {
    /// May somebody join? The port for joining is open exactly then.
    pub fn may_join(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Can the token be used now?
    pub fn is_token_open(&self, now: Time, token: TokenId) -> bool {
        self.tokens.get(&token).is_some_and(|open| open.until > now)
    }

    pub(super) fn on_token_made(&mut self, now: Time, token: TokenId, name: String, (span, operator): (Span, Option<Right>), out: &mut Vec<Effect>) {
        let (tokens_max, span_max) = (self.settings.tokens_max, self.settings.token_span_max);
        let refusal = match () {
            () if span == Span(0) || span > span_max => Refusal::TokenSpan { max: span_max },
            () if self.tokens.len() >= tokens_max => Refusal::TooManyTokens { max: tokens_max },
            () => {
                self.tokens.insert(token, OpenToken { name, operator, until: now + span });
                return;
            }
        };
        out.push(Effect::Publish(Notice::Refused(refusal)));
    }

    /// A token is good once.
    pub(super) fn on_token_proved(&mut self, now: Time, token: TokenId, out: &mut Vec<Effect>) {
        match self.tokens.remove(&token).filter(|open| open.until > now) {
            Some(OpenToken { name, operator: Some(right), .. }) => self.on_operator_joined(now, name, right, out),
            Some(OpenToken { name, operator: None, .. }) => self.on_node_joined(now, name, None, out),
            None => out.push(Effect::Publish(Notice::Refused(Refusal::UnknownToken(token)))),
        }
    }

    pub(super) fn on_expired_tokens(&mut self, now: Time, out: &mut Vec<Effect>) {
        let expired: Vec<TokenId> = self.tokens.iter().filter(|(_, open)| open.until <= now).map(|(token, _)| *token).collect();
        for token in expired {
            self.tokens.remove(&token);
            self.audit(now, Requester::Fleet, Action::TokenExpired { token }, out);
        }
    }

    pub(super) fn token_deadline(&self) -> Option<Time> {
        self.tokens.values().map(|open| open.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Event, Ledger, Settings};

    const NOW: Time = Time(1_000_000);
    const HOUR: Span = Span::from_secs(3600);

    fn fleet() -> Fleet {
        Fleet::recover(Settings { tokens_max: 2, ..Settings::default() }, Ledger::default(), NOW, &mut Vec::new())
    }

    fn handle(fleet: &mut Fleet, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(now, event, &mut out);
        fleet.check();
        out
    }

    fn token(number: u8) -> TokenId {
        TokenId([number; 16])
    }

    fn make(fleet: &mut Fleet, number: u8, span: Span) -> Vec<Effect> {
        handle(fleet, NOW, Event::TokenMade { token: token(number), name: "a".into(), span, operator: None })
    }

    #[test]
    fn a_token_is_good_once() {
        let mut fleet = fleet();
        assert!(!fleet.may_join());
        assert_eq!(make(&mut fleet, 1, HOUR), []);
        assert!(fleet.may_join() && fleet.is_token_open(NOW, token(1)));
        let out = handle(&mut fleet, NOW, Event::TokenProved { token: token(1) });
        assert!(matches!(out.as_slice(), [Effect::Record(_), Effect::Publish(Notice::NodePaired(_))]), "{out:?}");
        assert!(!fleet.may_join());
        let refused = Effect::Publish(Notice::Refused(Refusal::UnknownToken(token(1))));
        assert_eq!(handle(&mut fleet, NOW, Event::TokenProved { token: token(1) }), [refused]);
        assert_eq!(fleet.ledger().nodes.len(), 1);
    }

    #[test]
    fn a_token_ends_at_its_time_and_the_fleet_wakes_for_it() {
        let mut fleet = fleet();
        make(&mut fleet, 1, HOUR);
        assert_eq!(fleet.next_deadline(), Some(NOW + HOUR));
        assert!(!fleet.is_token_open(NOW + HOUR, token(1)), "also before anybody wakes");
        handle(&mut fleet, NOW + HOUR, Event::Woken);
        assert!(!fleet.may_join());
        assert_eq!(fleet.next_deadline(), None);
    }

    #[test]
    fn tokens_have_a_number_and_a_length() {
        let mut fleet = fleet();
        for span in [Span(0), Span(Settings::default().token_span_max.0 + 1)] {
            let refused = Refusal::TokenSpan { max: Settings::default().token_span_max };
            assert_eq!(make(&mut fleet, 1, span), [Effect::Publish(Notice::Refused(refused))]);
        }
        assert!(!fleet.may_join());
        make(&mut fleet, 1, HOUR);
        make(&mut fleet, 2, HOUR);
        assert_eq!(make(&mut fleet, 3, HOUR), [Effect::Publish(Notice::Refused(Refusal::TooManyTokens { max: 2 }))]);
    }
}
