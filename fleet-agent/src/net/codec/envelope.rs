//! Envelopes whose message this version may not know: a newer peer says more, and the link has to outlive it.
//!
//! What is not known is told from what is malformed: the first is answered, the second ends the link.

use std::{cell::Cell, fmt};

use bitacora_core::wire::Envelope;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny, MapAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{CodecError, Frame};

/// Characters of a message's name that are kept for the answer.
const NAME_CHARS_MAX: usize = 64;

/// What an envelope held.
#[derive(Debug, PartialEq, Eq)]
pub enum Spoken<Body> {
    Known(Envelope<Body>),
    /// A message of this name, with what makes it recognisable as stale.
    Unknown(Envelope<String>),
}

impl Frame {
    /// Decodes an envelope, or tells the name of its message when there is none such here.
    pub fn envelope<Body: DeserializeOwned>(&self) -> Result<Spoken<Body>, CodecError> {
        let error = match self.body() {
            Ok(envelope) => return Ok(Spoken::Known(envelope)),
            Err(error) => error,
        };
        match self.body::<Envelope<Name>>() {
            Ok(Envelope { epoch, incarnation, body: Name(name) }) if !known::<Body>().contains(&name.as_str()) => {
                let body = name.chars().take(NAME_CHARS_MAX).collect();
                Ok(Spoken::Unknown(Envelope { epoch, incarnation, body }))
            }
            _ => Err(error),
        }
    }
}

/// The name of an enum's variant, whatever is in it: a text alone, or the only key of a map.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        struct Tag;
        impl<'de> Visitor<'de> for Tag {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Name, A::Error> {
                let (name, IgnoredAny) = map.next_entry::<String, IgnoredAny>()?.ok_or_else(|| A::Error::custom("a message without a name"))?;
                Ok(Name(name))
            }
        }
        deserializer.deserialize_any(Tag)
    }
}

/// The names that an enum is read by, from its own mouth: the list cannot fall behind.
fn known<Body: DeserializeOwned>() -> &'static [&'static str] {
    let names = Cell::new(&[] as &[&str]);
    // It fails always, once it has told.
    let _ = Body::deserialize(Listener(&names));
    names.get()
}

struct Listener<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, variants: &'static [&'static str], _: V) -> Result<V::Value, Self::Error> {
        self.0.set(variants);
        Err(Self::Error::custom("it only listens"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("no enum"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use bitacora_core::{
        ids::{Epoch, Incarnation},
        wire::ToAgent,
    };
    use serde::Serialize;

    use super::*;
    use crate::net::codec::{Decoder, Kind, Received, RequestId, encode};

    /// What a later version might say.
    #[derive(Serialize)]
    enum Later {
        Sing { song: String, times: Vec<u64> },
        Rest,
        SetPace { heartbeat: String },
    }

    fn sent<Body: Serialize>(body: Body) -> Frame {
        let mut bytes = Vec::new();
        let envelope = Envelope { epoch: Epoch(3), incarnation: Incarnation(9), body };
        encode(Kind::ToAgent, RequestId(0), &envelope, &mut bytes).unwrap();
        let Some(Received::Frame(frame)) = Decoder::default().push(&mut bytes.as_slice()).unwrap() else { panic!("no frame") };
        frame
    }

    #[test]
    fn what_is_not_known_is_named_and_what_is_malformed_is_refused() {
        let unknown = |name: &str| Spoken::Unknown(Envelope { epoch: Epoch(3), incarnation: Incarnation(9), body: name.to_owned() });
        let sing = Later::Sing { song: "la".into(), times: vec![1, 2] };
        assert_eq!(sent(sing).envelope::<ToAgent>().unwrap(), unknown("Sing"));
        assert_eq!(sent(Later::Rest).envelope::<ToAgent>().unwrap(), unknown("Rest"));
        assert!(matches!(sent(Later::SetPace { heartbeat: "now".into() }).envelope::<ToAgent>(), Err(CodecError::Decode(Kind::ToAgent, _))));
        assert!(matches!(sent(ToAgent::SyncState).envelope::<ToAgent>().unwrap(), Spoken::Known(Envelope { body: ToAgent::SyncState, .. })));
    }
}
