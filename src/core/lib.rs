//! The decisions of a fleet, and nothing else.
//!
//! A machine has one door: `handle(now, event, &mut effects)`. Time and seeds come in as values, ids come from
//! counters, state changes only by applying facts. This crate has no clock, no files, no sockets, no threads and no
//! randomness of its own; what it wants done it returns as effects, and the order of the effects is a promise:
//! record, then send, then publish.
//!
//! - [`fleet`] is the master's side: projects, jobs, sparks, nodes.
//! - [`agent`] is the node's side: slots, results that wait to be acknowledged.
//! - [`wire`] is what they say to each other; the two sides meet only there.
//! - [`aggregate`] merges partial results, [`cache`] decides what may be reused, [`sim`] plays a whole fleet in virtual time.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod agent;
pub mod aggregate;
pub mod cache;
pub mod fleet;
pub mod ids;
pub mod paths;
pub mod sim;
pub mod time;
pub mod wire;
