//! Frames: a fixed header of 20 bytes, then a payload that is MessagePack with named fields.
//!
//! ```text
//! 0      4       5       6      7       8                12               20
//! | BITA | major | minor | kind | flags | payload bytes  |   request id    | payload …
//!                                         u32, little endian  u64, little endian
//! ```
//!
//! Every length is checked against the bound of its kind before memory is taken for it, and memory grows with what has
//! arrived and not with what was promised. This module does not know what a message means, and it never answers one.

mod decoder;
mod envelope;
mod kind;
mod octets;
mod stream;

use std::io::Cursor;

use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    decoder::Decoder,
    envelope::Spoken,
    kind::{Kind, UNKNOWN_BYTES_MAX},
    octets::Octets,
    stream::{read_frame, write_frame},
};

/// The first bytes of every frame.
pub const MAGIC: [u8; 4] = *b"BITA";
/// Two peers whose majors differ cannot talk.
pub const MAJOR: u8 = 1;
/// Grows when fields or kinds are added; both sides ignore or refuse what they do not know, one by one.
pub const MINOR: u8 = 0;
/// Of a header on the wire.
pub const HEADER_BYTES: usize = 20;

/// How deeply values may be nested in a body: ours reach about a dozen, and each level costs stack.
const DEPTH_MAX: usize = 64;

/// The number by which an answer finds its question. 0 is for what needs no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One message, its body not yet decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: Kind,
    pub request: RequestId,
    pub payload: Vec<u8>,
}

/// A frame that is well formed and that this version cannot read. Its payload is skipped; the stream goes on.
///
/// The receiver answers it with [`Kind::Unsupported`] and the same request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kind {kind} with flags {flags:#04x} is not known here (request {})", request.0)]
pub struct Unsupported {
    pub kind: u8,
    pub flags: u8,
    pub request: RequestId,
}

/// What a peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    Frame(Frame),
    Unsupported(Unsupported),
}

/// Why bytes are no frame, or a value is none. After any of them while reading, the stream is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("the peer does not speak this protocol: it starts with {0:02x?}")]
    Magic([u8; 4]),
    #[error("the peer speaks protocol {theirs_major}.{theirs_minor}, this is {MAJOR}.{MINOR}")]
    Major { theirs_major: u8, theirs_minor: u8 },
    #[error("a frame of kind {kind} has {bytes} bytes, the limit is {bytes_max}")]
    Oversized { kind: u8, bytes: u64, bytes_max: u32 },
    #[error("the stream is in no known state after an earlier error")]
    Desynchronised,
    #[error("the stream ended inside a frame")]
    Cut,
    #[error("a body of kind {0:?} does not decode")]
    Decode(Kind, #[source] rmp_serde::decode::Error),
    #[error("{bytes} bytes follow the body of a frame of kind {kind:?}")]
    Trailing { kind: Kind, bytes: usize },
    #[error("a body of kind {0:?} does not encode")]
    Encode(Kind, #[source] rmp_serde::encode::Error),
    #[error("cannot read a frame")]
    Read(#[source] std::io::Error),
    #[error("cannot write a frame")]
    Write(#[source] std::io::Error),
}

impl Frame {
    /// Decodes the body. Fields that are not known are ignored, missing ones take their default where they have one.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        // Through a cursor, because the decoder over a slice does not tell where it stopped.
        let mut decoder = rmp_serde::Deserializer::new(Cursor::new(self.payload.as_slice()));
        decoder.set_max_depth(DEPTH_MAX);
        let body = T::deserialize(&mut decoder).map_err(|error| CodecError::Decode(self.kind, error))?;
        match self.payload.len() - decoder.position() as usize {
            0 => Ok(body),
            bytes => Err(CodecError::Trailing { kind: self.kind, bytes }),
        }
    }
}

/// Appends a frame to `out`. When this fails `out` is as it was.
pub fn encode<T: Serialize + ?Sized>(kind: Kind, request: RequestId, body: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    let written = body.serialize(&mut rmp_serde::Serializer::new(&mut *out).with_struct_map());
    let bytes = out.len() - start - HEADER_BYTES;
    let header = written.map_err(|error| CodecError::Encode(kind, error)).and_then(|()| header(kind, request, bytes));
    match header {
        Ok(header) => out[start..start + HEADER_BYTES].copy_from_slice(&header),
        Err(_) => out.truncate(start),
    }
    header.map(drop)
}

/// The header in front of a payload of `bytes` bytes. Refuses what the other side would refuse.
pub fn header(kind: Kind, request: RequestId, bytes: usize) -> Result<[u8; HEADER_BYTES], CodecError> {
    let bytes_max = kind.bytes_max();
    let length = u32::try_from(bytes).ok().filter(|&length| length <= bytes_max);
    let length = length.ok_or(CodecError::Oversized { kind: kind.number(), bytes: bytes as u64, bytes_max })?;
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&[MAJOR, MINOR, kind.number(), 0]);
    header[8..12].copy_from_slice(&length.to_le_bytes());
    header[12..].copy_from_slice(&request.0.to_le_bytes());
    Ok(header)
}

/// A header that was checked.
#[derive(Clone, Copy, Debug)]
struct Header {
    /// `Err` when it, or a flag, is not known here.
    kind: Result<Kind, Unsupported>,
    request: RequestId,
    payload_bytes: usize,
}

impl Header {
    fn parse(bytes: &[u8; HEADER_BYTES], bytes_max: u32) -> Result<Header, CodecError> {
        check_preamble(bytes)?;
        let [_, _, _, _, _, _, kind, flags, l0, l1, l2, l3, id @ ..] = *bytes;
        let request = RequestId(u64::from_le_bytes(id));
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let number = kind;
        // A flag changes how a payload is to be read, so a frame with one that is not known cannot be read either.
        let kind = Kind::from_number(number).filter(|_| flags == 0).ok_or(Unsupported { kind: number, flags, request });
        let bytes_max = kind.map_or(UNKNOWN_BYTES_MAX, Kind::bytes_max).min(bytes_max);
        if length > bytes_max {
            return Err(CodecError::Oversized { kind: number, bytes: length.into(), bytes_max });
        }
        Ok(Header { kind, request, payload_bytes: length as usize })
    }
}

/// Magic and version, checked as soon as they are there: another major may have a header of another length.
fn check_preamble(bytes: &[u8]) -> Result<(), CodecError> {
    let &[m0, m1, m2, m3, theirs_major, theirs_minor, ..] = bytes else { return Ok(()) };
    let magic = [m0, m1, m2, m3];
    if magic != MAGIC {
        return Err(CodecError::Magic(magic));
    }
    if theirs_major != MAJOR {
        return Err(CodecError::Major { theirs_major, theirs_minor });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Beat {
        slots: u32,
        name: String,
    }

    fn beat() -> Beat {
        Beat { slots: 2, name: "ada".into() }
    }

    fn encoded() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(Kind::Heartbeat, RequestId(0x0102), &beat(), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn bytes_of_version_one_stay_as_they_are() {
        let golden = b"BITA\x01\x00\x07\x00\x11\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00\x82\xa5slots\x02\xa4name\xa3ada";
        assert_eq!(encoded(), golden);
    }

    #[test]
    fn body_ignores_fields_it_does_not_know_and_nothing_behind_it() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Old {
            name: String,
        }
        let mut frame = Frame { kind: Kind::Heartbeat, request: RequestId(1), payload: encoded()[HEADER_BYTES..].to_vec() };
        assert_eq!(frame.body::<Old>().unwrap(), Old { name: "ada".into() });
        frame.payload.push(0xc0);
        assert!(matches!(frame.body::<Old>(), Err(CodecError::Trailing { bytes: 1, .. })));
    }

    #[test]
    fn oversized_body_is_refused_before_it_is_sent() {
        let mut out = b"before".to_vec();
        let body = "x".repeat(Kind::Welcome.bytes_max() as usize);
        assert!(matches!(encode(Kind::Welcome, RequestId(1), &body, &mut out), Err(CodecError::Oversized { .. })));
        assert_eq!(out, b"before");
    }

    #[test]
    fn another_major_names_both_versions() {
        let mut bytes = encoded();
        bytes[4..6].copy_from_slice(&[9, 3]);
        let error = Decoder::default().push(&mut bytes.as_slice()).unwrap_err();
        assert_eq!(error.to_string(), "the peer speaks protocol 9.3, this is 1.0");
    }

    #[test]
    fn another_minor_is_read() {
        let mut bytes = encoded();
        bytes[5] = 200;
        let Some(Received::Frame(frame)) = Decoder::default().push(&mut bytes.as_slice()).unwrap() else { panic!("no frame") };
        assert_eq!(frame.body::<Beat>().unwrap(), beat());
    }
}
