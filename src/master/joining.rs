//! How nodes join a serving master: tokens are made for people and proved by agents. Which one is open the core knows;
//! what proves it is kept here, and in nobody's journal.

use std::{collections::BTreeMap, time::SystemTime};

use bitacora_core::{
    fleet::{Event, Intruder, Notice, Requester, Right},
    ids::{NodeId, TokenId},
    time::Span,
};
use fleet_agent::{
    net::{
        join::{Grant, Holder, JoinToken, TokenKey},
        tls::{Role, Roles, Validity},
    },
    work::with_cause,
};

use super::{Master, MasterError, afar::role_of, now};
use crate::{
    control::{self, Answer},
    links::Refused,
    trust,
};

/// What proves the tokens that are open.
pub(super) type TokenKeys = BTreeMap<TokenId, TokenKey>;

impl Master {
    /// A new token for a node of this name, or for a person's device. The port is open before anybody knows of the token.
    pub(super) fn issue_token(&mut self, by: Requester, name: String, span: Span, operator: Option<Right>) -> Result<Answer, MasterError> {
        let Some(serving) = &mut self.serving else { return Ok(Answer::Refused("this bitacora serves one command and no fleet".into())) };
        let holder = if operator.is_some() { Holder::Person } else { Holder::Node };
        let made = serving.links.open_joining().map_err(|error| with_cause(&error));
        let made = made.and_then(|()| JoinToken::issue_for(holder, serving.authority.fingerprint()).map_err(|error| with_cause(&error)));
        let token = match made {
            Ok(token) => token,
            Err(reason) => return Ok(Answer::Refused(reason)),
        };
        serving.token_keys.insert(token.id(), token.key());
        let address = serving.links.address().to_string();
        let notices = self.turn_for(by, [Event::TokenMade { token: token.id(), name, span, operator }])?;
        self.publish();
        Ok(match control::outcome(&notices) {
            Answer::Done => Answer::Token { token: token.to_string(), seconds: span.0 / 1_000_000, address },
            refused => refused,
        })
    }

    /// What proves a token, while it is open.
    pub(super) fn token_key(&self, token: TokenId) -> Option<TokenKey> {
        self.serving.as_ref()?.token_keys.get(&token).filter(|_| self.fleet.is_token_open(now(), token)).cloned()
    }

    /// The node is paired, in the journal, before anybody hears of it.
    pub(super) fn spend_token(&mut self, token: TokenId) -> Result<Option<Grant>, MasterError> {
        let notices = self.turn_for(Requester::Stranger, [Event::TokenProved { token }])?;
        let joined = notices.iter().find_map(|notice| match notice {
            Notice::NodePaired(node) => Some((*node, Role::Worker)),
            Notice::OperatorPaired { operator, right } => Some((*operator, role_of(*right))),
            _ => None,
        });
        self.publish();
        Ok(joined.map(|(node, role)| Grant { node, roles: Roles::from(role), validity: trust::certificate_validity(SystemTime::now()) }))
    }
}

impl Master {
    /// The dates of a node's next certificate, if it is to have one.
    pub(super) fn permit_renewal(&mut self, node: NodeId) -> Result<Option<Validity>, MasterError> {
        let notices = self.turn_for(Requester::Node(node), [Event::RenewalAsked { node }])?;
        Ok((control::outcome(&notices) == Answer::Done).then(|| trust::certificate_validity(SystemTime::now())))
    }

    /// A master that stays longer than its certificate holds makes another one in time.
    pub(super) fn renew_own(&mut self, now: SystemTime) -> Result<(), MasterError> {
        match &mut self.serving {
            Some(serving) if serving.links.identity().peer().is_due(now) => {
                let identity = trust::master_identity(&serving.authority, now).map_err(trust::TrustError::from)?;
                serving.links.renew(identity).map_err(|error| MasterError::Links(error.into()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Who was not let in since this was asked last.
pub(super) fn refused_connections(refused: Refused) -> Option<Event> {
    let Refused { handshake, no_member, second_life, version, unknown_token, wrong_proof, unsound } = refused;
    let counts = [
        (Intruder::Handshake, handshake),
        (Intruder::NoMember, no_member),
        (Intruder::SecondLife, second_life),
        (Intruder::Version, version),
        (Intruder::UnknownToken, unknown_token),
        (Intruder::WrongProof, wrong_proof),
        (Intruder::Unsound, unsound),
    ];
    let counts: Vec<(Intruder, u64)> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    (!counts.is_empty()).then_some(Event::ConnectionsRefused { counts })
}
