//! What master and agents say to each other. Both sides import this and never each other.
//!
//! Only types: the codec that turns them into bytes lives in `fleet_agent::net`.

pub mod command;
pub mod configuration;
pub mod message;
pub mod neighbours;
pub mod node;
pub mod record;
pub mod task;
pub mod warrant;

pub use message::{Envelope, FromAgent, ToAgent};
