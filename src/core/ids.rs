//! Names of things: newtypes, so that a job is never passed for a spark.
//!
//! Ids of what a master makes are `(epoch, counter)`: two masters that followed one another never make the same id,
//! and no randomness is needed.

use alloc::string::String;
use core::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number of the current mastership; grows by one with each start of a master on a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// One life of an agent's process; a restarted agent has a higher one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

/// The number of one execution of a spark, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt(pub u32);

/// A node of the fleet. Numbers are given at pairing and never again; 0 is the agent inside the master's own process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The agent inside the master's own process: it reads the master's disk.
    pub const HERE: NodeId = NodeId(0);

    /// The node that is paired as the `counter`th thing of an epoch.
    pub const fn counted(epoch: Epoch, counter: u32) -> NodeId {
        NodeId((epoch.0 as u64) << 32 | counter as u64)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}", self.0 >> 32, self.0 as u32)
    }
}

impl FromStr for NodeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (epoch, counter) = text.strip_prefix('n').and_then(|rest| rest.split_once('.')).ok_or(IdError::Shape("n"))?;
        Ok(NodeId::counted(Epoch(epoch.parse()?), counter.parse()?))
    }
}

/// Names a join token; tells nothing of its secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenId(pub [u8; 16]);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

macro_rules! counted_id {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name {
            pub epoch: Epoch,
            pub counter: u32,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}.{}"), self.epoch.0, self.counter)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let (epoch, counter) = text.strip_prefix($letter).and_then(|rest| rest.split_once('.')).ok_or(IdError::Shape($letter))?;
                Ok($name { epoch: Epoch(epoch.parse()?), counter: counter.parse()? })
            }
        }
    };
}

counted_id!(
    /// A request for analysis; written `j3.12`.
    JobId,
    "j"
);
counted_id!(
    /// A source tree with its state; written `p1.2`.
    ProjectId,
    "p"
);

/// A spark of a job; written `j3.12/7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SparkId {
    pub job: JobId,
    pub number: u32,
}

impl fmt::Display for SparkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.number)
    }
}

impl FromStr for SparkId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (job, number) = text.split_once('/').ok_or(IdError::Shape("j"))?;
        Ok(SparkId { job: job.parse()?, number: number.parse()? })
    }
}

/// Why a text is no id.
#[derive(Debug, PartialEq, Eq)]
pub enum IdError {
    /// It is not the letter, a number, a dot and a number.
    Shape(&'static str),
    /// A number in it does not fit.
    Number(ParseIntError),
}

impl From<ParseIntError> for IdError {
    fn from(error: ParseIntError) -> Self {
        IdError::Number(error)
    }
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdError::Shape(letter) => write!(f, "an id looks like {letter}1.2"),
            IdError::Number(error) => write!(f, "a number in the id does not fit: {error}"),
        }
    }
}

impl core::error::Error for IdError {}

/// The BLAKE3 hash of some bytes. Computed elsewhere; here it is only compared.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Digest;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Digest, E> {
                bytes.try_into().map(Digest).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
                Digest::from_hex(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl Digest {
    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Digest> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digits = core::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Digest(bytes))
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        alloc::format!("{self}")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        let job = JobId { epoch: Epoch(3), counter: 12 };
        assert_eq!(job.to_string().parse(), Ok(job));
        assert_eq!("p3.12".parse::<JobId>(), Err(IdError::Shape("j")));
        assert!("j3".parse::<JobId>().is_err());
        let spark = SparkId { job, number: 7 };
        assert_eq!(spark.to_string().parse(), Ok(spark));
    }

    #[test]
    fn digests_survive_their_text_form() {
        let digest = Digest([7; 32]);
        assert_eq!(Digest::from_hex(&digest.to_hex()), Some(digest));
        assert_eq!(Digest::from_hex("07"), None);
    }
}
