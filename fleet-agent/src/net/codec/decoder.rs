//! Frames from bytes that arrive in pieces of any size. No I/O: QUIC, WebSocket and the fuzzer all push into it.

use super::{CodecError, Frame, HEADER_BYTES, Header, Received, Unsupported, check_preamble};

/// What is taken at once for a payload that has been promised; more is taken as bytes arrive.
const FIRST_BYTES: usize = 16 << 10;

/// Assembles one frame at a time and never holds more than that one: what belongs to the next stays with the caller.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// Beside the bound of each kind.
    bytes_max: u32,
}

#[derive(Debug)]
enum State {
    Header { bytes: [u8; HEADER_BYTES], filled: usize },
    Payload { frame: Frame, bytes: usize },
    Skipping { unsupported: Unsupported, bytes: usize },
    Broken,
}

const START: State = State::Header { bytes: [0; HEADER_BYTES], filled: 0 };

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::bounded(u32::MAX)
    }
}

impl Decoder {
    /// For a stream on which not even a kind that may weigh more weighs more than this.
    pub fn bounded(bytes_max: u32) -> Decoder {
        Decoder { state: START, bytes_max }
    }

    /// Takes bytes from the front of `input` until a frame is complete or `input` is empty.
    ///
    /// `None` means that all of `input` was taken and more is needed. After an error every call fails.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Option<Received>, CodecError> {
        // A header completes, and so may the empty payload behind it: two turns at most without taking a byte.
        loop {
            let before = input.len();
            let (state, received) = std::mem::replace(&mut self.state, State::Broken).advance(input, self.bytes_max)?;
            let waits_for_header = matches!(state, State::Header { .. });
            self.state = state;
            if received.is_some() || (input.is_empty() && (before == 0 || waits_for_header)) {
                return Ok(received);
            }
        }
    }

    /// Is the stream between two frames? If it ends elsewhere, a frame was cut.
    pub fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Header { filled: 0, .. })
    }

    /// Bytes of memory held for the frame in progress.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Payload { frame, .. } => frame.payload.capacity(),
            State::Header { .. } | State::Skipping { .. } | State::Broken => 0,
        }
    }
}

impl State {
    fn advance(self, input: &mut &[u8], bytes_max: u32) -> Result<(State, Option<Received>), CodecError> {
        match self {
            State::Header { mut bytes, mut filled } => {
                let taken = take(input, HEADER_BYTES - filled);
                bytes[filled..filled + taken.len()].copy_from_slice(taken);
                filled += taken.len();
                check_preamble(&bytes[..filled])?;
                Ok((if filled < HEADER_BYTES { State::Header { bytes, filled } } else { State::after(&Header::parse(&bytes, bytes_max)?) }, None))
            }
            State::Payload { mut frame, bytes } => {
                let taken = take(input, bytes - frame.payload.len());
                reserve(&mut frame.payload, taken.len(), bytes);
                frame.payload.extend_from_slice(taken);
                let complete = frame.payload.len() == bytes;
                Ok(if complete { (START, Some(Received::Frame(frame))) } else { (State::Payload { frame, bytes }, None) })
            }
            State::Skipping { unsupported, bytes } => {
                let left = bytes - take(input, bytes).len();
                Ok(if left == 0 { (START, Some(Received::Unsupported(unsupported))) } else { (State::Skipping { unsupported, bytes: left }, None) })
            }
            State::Broken => Err(CodecError::Desynchronised),
        }
    }

    fn after(header: &Header) -> State {
        let &Header { request, payload_bytes: bytes, .. } = header;
        match header.kind {
            Ok(kind) => State::Payload { frame: Frame { kind, request, payload: Vec::new() }, bytes },
            Err(unsupported) => State::Skipping { unsupported, bytes },
        }
    }
}

fn take<'a>(input: &mut &'a [u8], count_max: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count_max.min(input.len()));
    *input = rest;
    taken
}

/// Doubles as a vector does, and never beyond `bytes_max`: a promise costs nothing, a frame no more than its length.
pub(super) fn reserve(payload: &mut Vec<u8>, additional: usize, bytes_max: usize) {
    let needed = payload.len() + additional;
    if needed > payload.capacity() {
        let capacity = needed.max(payload.capacity() * 2).max(FIRST_BYTES).min(bytes_max);
        payload.reserve_exact(capacity - payload.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::net::codec::{Kind, RequestId, UNKNOWN_BYTES_MAX, encode, header};

    fn frame(kind: Kind, request: u64, payload: &[u8]) -> Vec<u8> {
        let mut bytes = header(kind, RequestId(request), payload.len()).unwrap().to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    fn decode_all(decoder: &mut Decoder, mut input: &[u8]) -> Result<Vec<Received>, CodecError> {
        let mut received = Vec::new();
        while let Some(next) = decoder.push(&mut input)? {
            received.push(next);
        }
        Ok(received)
    }

    #[test]
    fn unknown_kind_is_named_skipped_and_the_next_frame_is_read() {
        let mut bytes = frame(Kind::Hello, 7, b"abc");
        bytes[6] = 250;
        bytes.extend(frame(Kind::Welcome, 8, b""));
        let unsupported = Unsupported { kind: 250, flags: 0, request: RequestId(7) };
        let welcome = Frame { kind: Kind::Welcome, request: RequestId(8), payload: Vec::new() };
        assert_eq!(decode_all(&mut Decoder::default(), &bytes).unwrap(), [Received::Unsupported(unsupported), Received::Frame(welcome)]);
    }

    #[test]
    fn unknown_flag_is_unsupported_too() {
        let mut bytes = frame(Kind::Hello, 7, b"");
        bytes[7] = 1;
        let unsupported = Unsupported { kind: Kind::Hello.number(), flags: 1, request: RequestId(7) };
        assert_eq!(decode_all(&mut Decoder::default(), &bytes).unwrap(), [Received::Unsupported(unsupported)]);
    }

    #[test]
    fn oversized_frames_are_refused_by_their_header() {
        for (kind, bytes_max) in [(Kind::Hello.number(), Kind::Hello.bytes_max()), (250, UNKNOWN_BYTES_MAX)] {
            let mut bytes = frame(Kind::Hello, 7, b"");
            bytes[6] = kind;
            bytes[8..12].copy_from_slice(&(bytes_max + 1).to_le_bytes());
            let mut decoder = Decoder::default();
            assert!(matches!(decode_all(&mut decoder, &bytes), Err(CodecError::Oversized { .. })));
            assert!(matches!(decode_all(&mut decoder, &bytes), Err(CodecError::Desynchronised)));
        }
    }

    #[test]
    fn a_bound_of_the_stream_holds_for_every_kind() {
        let mut decoder = Decoder::bounded(100);
        assert_eq!(decode_all(&mut decoder, &frame(Kind::FromAgent, 1, &[0; 100])).unwrap().len(), 1);
        assert!(matches!(decode_all(&mut decoder, &frame(Kind::FromAgent, 1, &[0; 101])), Err(CodecError::Oversized { bytes: 101, bytes_max: 100, .. })));
    }

    #[test]
    fn promised_payload_takes_no_memory_until_it_comes() {
        let mut bytes = frame(Kind::FromAgent, 1, b"");
        bytes[8..12].copy_from_slice(&Kind::FromAgent.bytes_max().to_le_bytes());
        let mut decoder = Decoder::default();
        assert_eq!(decode_all(&mut decoder, &bytes).unwrap(), []);
        assert_eq!(decoder.held_bytes(), 0);
        decode_all(&mut decoder, &[0; 100]).unwrap();
        assert_eq!(decoder.held_bytes(), FIRST_BYTES);
    }

    #[test]
    fn stranger_is_noticed_before_a_whole_header_is_there() {
        assert!(matches!(decode_all(&mut Decoder::default(), b"GET / "), Err(CodecError::Magic(magic)) if &magic == b"GET "));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8), cut in 1_usize..64) {
            let bytes: Vec<u8> = payloads.iter().enumerate().flat_map(|(id, payload)| frame(Kind::BlobPart, id as u64, payload)).collect();
            let mut decoder = Decoder::default();
            let received: Vec<_> = bytes.chunks(cut).flat_map(|piece| decode_all(&mut decoder, piece).unwrap()).collect();
            let expected: Vec<_> = payloads.into_iter().enumerate()
                .map(|(id, payload)| Received::Frame(Frame { kind: Kind::BlobPart, request: RequestId(id as u64), payload })).collect();
            prop_assert_eq!(received, expected);
            prop_assert!(decoder.is_between_frames());
        }

        #[test]
        fn bodies_survive(request: u64, text: String, numbers: Vec<u64>) {
            let mut bytes = Vec::new();
            encode(Kind::FromAgent, RequestId(request), &(&text, &numbers), &mut bytes).unwrap();
            let received = decode_all(&mut Decoder::default(), &bytes).unwrap();
            let [Received::Frame(frame)] = received.as_slice() else { panic!("not one frame") };
            prop_assert_eq!(frame.body::<(String, Vec<u64>)>().unwrap(), (text, numbers));
        }

        #[test]
        fn random_bytes_never_panic_nor_exceed_the_bound(mut bytes: Vec<u8>, good_start: bool, cut in 1_usize..64) {
            if good_start {
                bytes.splice(..bytes.len().min(6), *b"BITA\x01\x00");
            }
            let mut decoder = Decoder::default();
            for piece in bytes.chunks(cut) {
                match decode_all(&mut decoder, piece) {
                    Ok(received) => for next in received {
                        if let Received::Frame(frame) = next {
                            let _ = frame.body::<(String, Vec<u64>)>();
                        }
                    },
                    Err(_) => break,
                }
                prop_assert!(decoder.held_bytes() <= Kind::FromAgent.bytes_max() as usize);
            }
        }
    }
}
