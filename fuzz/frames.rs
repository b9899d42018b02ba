//! What must hold for any bytes that a peer sends. Shared by the fuzzer and by the agent's own tests.

use std::collections::BTreeMap;

use bitacora_core::{
    ids::{Attempt, Digest, Epoch, Incarnation, JobId, SparkId},
    wire::{Envelope, FromAgent, ToAgent, message::Held, task::AttemptError},
};
use fleet_agent::{
    link::Greeting,
    net::{
        codec::{self, Decoder, Frame, HEADER_BYTES, Kind, Received, RequestId},
        transfer::{Offered, Wanted},
    },
};

/// Frames as nodes send them, to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let (spark, attempt) = (SparkId { job: JobId::default(), number: 3 }, Attempt(2));
    let (epoch, incarnation) = (Epoch(1), Incarnation(7));
    let from = |body: FromAgent| frame(Kind::FromAgent, &Envelope { epoch, incarnation, body });
    let to = |body: ToAgent| frame(Kind::ToAgent, &Envelope { epoch, incarnation, body });
    let failed = from(FromAgent::Failed { spark, attempt, error: AttemptError::Storage("the disk is full".into()) });
    let cancel = to(ToAgent::CancelTask { spark, attempt });
    vec![
        frame(Kind::Hello, &BTreeMap::from([("version", "0.1.0")])),
        [failed.clone(), cancel.clone()].concat(),
        failed,
        cancel,
        to(ToAgent::SyncState),
        frame(Kind::BlobWanted, &[vec![Digest([7; 32]); 3]]),
        frame(Kind::Heartbeat, &[Held { spark, attempt }; 5]),
    ]
}

fn frame<Body: serde::Serialize + ?Sized>(kind: Kind, body: &Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(kind, RequestId(9), body, &mut bytes).expect("it is small");
    bytes
}

/// The first byte says into what pieces the rest is cut; how it is cut must make no difference.
pub fn check(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(whole, decode(bytes, usize::from(cut).max(1)), "pieces of {cut} bytes");
    whole.0.iter().for_each(|received| {
        if let Received::Frame(frame) = received {
            read(frame);
        }
    });
}

/// What is decoded, and whether it ended with an error.
fn decode(bytes: &[u8], piece_bytes: usize) -> (Vec<Received>, bool) {
    let (mut decoder, mut received) = (Decoder::default(), Vec::new());
    for piece in bytes.chunks(piece_bytes) {
        let mut rest = piece;
        loop {
            match decoder.push(&mut rest) {
                Ok(Some(next)) => received.push(next),
                Ok(None) => break,
                Err(_) => {
                    assert!(decoder.push(&mut &b"BITA"[..]).is_err(), "after an error there is nothing more to be had");
                    return (received, true);
                }
            }
        }
        assert!(rest.is_empty(), "all of it was taken");
        assert!(decoder.held_bytes() <= (16 << 10).max(2 * bytes.len()), "memory grows with what has come, not with what was promised");
    }
    (received, false)
}

/// A body that reads is written and read again as what it was.
fn read(frame: &Frame) {
    assert!(frame.payload.len() <= frame.kind.bytes_max() as usize);
    match frame.kind {
        Kind::ToAgent => again::<Envelope<ToAgent>>(frame),
        Kind::FromAgent => again::<Envelope<FromAgent>>(frame),
        // Of these it is enough that nothing breaks.
        Kind::Hello | Kind::Welcome => drop(frame.body::<Greeting>()),
        Kind::BlobWanted => drop(frame.body::<Wanted>()),
        Kind::BlobOffered => drop(frame.body::<Offered>()),
        _ => drop(frame.body::<String>()),
    }
}

fn again<Body: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(frame: &Frame) {
    let Ok(body) = frame.body::<Body>() else { return };
    let mut bytes = Vec::new();
    // What was written without names and without what may be left out may be longer with them, and then too long.
    if codec::encode(frame.kind, RequestId(0), &body, &mut bytes).is_ok() {
        let written = Frame { kind: frame.kind, request: RequestId(0), payload: bytes[HEADER_BYTES..].to_vec() };
        assert_eq!(written.body::<Body>().expect("it was just written"), body);
    }
}
