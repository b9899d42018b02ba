//! The messages inside the WebSocket, as bytes and back.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{CHUNK_BYTES_MAX, Ended};

/// In front of every message.
const HEADER_BYTES: usize = 5;
/// The longest message.
pub(super) const MESSAGE_BYTES_MAX: usize = HEADER_BYTES + CHUNK_BYTES_MAX;

/// What is said of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Bytes of it, never none.
    Data(Bytes),
    /// It begins.
    Open,
    /// Its sender has sent everything.
    Finish,
    /// Its sender has given it up.
    Reset(u32),
    /// Its reader wants no more of it.
    Stop(u32),
    /// Its reader has room for so many more bytes.
    Credit(u32),
    /// On the control stream, once: so many streams may be open at the same time that this peer did not open.
    Places(u32),
}

/// A chunk of a stream.
pub(super) fn data(stream: u32, chunk: &[u8]) -> Bytes {
    let mut bytes = header(stream, 0, chunk.len());
    bytes.extend_from_slice(chunk);
    bytes.freeze()
}

pub(super) fn encode(stream: u32, message: &Message) -> Bytes {
    let (op, number) = match message {
        Message::Data(chunk) => return data(stream, chunk),
        Message::Open => (1, None),
        Message::Finish => (2, None),
        Message::Reset(code) => (3, Some(*code)),
        Message::Stop(code) => (4, Some(*code)),
        Message::Credit(bytes) => (5, Some(*bytes)),
        Message::Places(streams) => (6, Some(*streams)),
    };
    let mut bytes = header(stream, op, size_of::<u32>());
    number.into_iter().for_each(|number| bytes.put_u32_le(number));
    bytes.freeze()
}

fn header(stream: u32, op: u8, payload_bytes: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(HEADER_BYTES + payload_bytes);
    bytes.put_u32_le(stream);
    bytes.put_u8(op);
    bytes
}

/// Which stream a message is about, and what it says.
pub(super) fn parse(mut bytes: Bytes) -> Result<(u32, Message), Ended> {
    if bytes.len() < HEADER_BYTES {
        return Err(Ended::Misuse("a message without a header"));
    }
    let (stream, op) = (bytes.get_u32_le(), bytes.get_u8());
    let message = match (op, bytes.len()) {
        (0, 1..) => Message::Data(bytes),
        (1, 0) => Message::Open,
        (2, 0) => Message::Finish,
        (3, 4) => Message::Reset(bytes.get_u32_le()),
        (4, 4) => Message::Stop(bytes.get_u32_le()),
        (5, 4) => Message::Credit(bytes.get_u32_le()),
        (6, 4) => Message::Places(bytes.get_u32_le()),
        _ => return Err(Ended::Misuse("a message that is none")),
    };
    Ok((stream, message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_of_version_one_stay_as_they_are() {
        let golden: [(&[u8], Message); 7] = [
            (b"\x02\x01\0\0\0abc", Message::Data(Bytes::from_static(b"abc"))),
            (b"\x02\x01\0\0\x01", Message::Open),
            (b"\x02\x01\0\0\x02", Message::Finish),
            (b"\x02\x01\0\0\x03\x07\0\0\0", Message::Reset(7)),
            (b"\x02\x01\0\0\x04\x07\0\0\0", Message::Stop(7)),
            (b"\x02\x01\0\0\x05\0\0\x10\0", Message::Credit(1 << 20)),
            (b"\x02\x01\0\0\x06\x40\0\0\0", Message::Places(64)),
        ];
        for (bytes, message) in golden {
            assert_eq!(encode(0x0102, &message), bytes);
            assert_eq!(parse(Bytes::from_static(bytes)).unwrap(), (0x0102, message));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\0", b"\0\0\0\0\x01x", b"\0\0\0\0\x03\0\0\0", b"\0\0\0\0\x07"] {
            assert!(matches!(parse(Bytes::from_static(bytes)), Err(Ended::Misuse(_))), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_again_as_it_was(bytes: Vec<u8>) {
            if let Ok((stream, message)) = parse(Bytes::from(bytes.clone())) {
                prop_assert_eq!(encode(stream, &message), bytes);
            }
        }
    }
}
