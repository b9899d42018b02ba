//! Bitácora fleets: a terminal dashboard and a controller for a fleet that analyses source trees.
//!
//! The crate is the master's side. Decisions are not made here: [`bitacora_core::fleet`] makes them, and this crate
//! performs what it asks for.
//!
//! - [`master`] is the driver around the core: one loop that waits, handles, journals and sends.
//! - [`journal`] keeps the facts; [`manifest`] is the blob that holds a result's rows.
//! - [`scan`] lists a tree and sees what of it is known, [`selection`] says which part of it is meant; [`result`] reads results back, [`search`] finds symbols in them.
//! - [`preparation`] makes a job of what somebody wants analysed.
//! - [`names`] is a derived index of symbols' names, so that a search reads little.
//! - [`archive`] is the state of a data directory as one file.
//! - [`links`] are the links to the nodes of the fleet, [`trust`] is by what they are known, [`pairing`] is how a code makes a node one of them.
//! - [`control`] is how another process talks to a running master.
//! - [`tui`] is the dashboard.
//! - [`report`] writes results in the formats people and programs read; [`cli`] is the command line.
//!
//! To analyse a tree from another program, see `examples/analyse.rs`.
#![forbid(unsafe_code)]

pub mod archive;
pub mod cli;
pub mod control;
pub mod data;
pub mod dependencies;
pub mod exit;
pub mod journal;
pub mod links;
pub mod logs;
pub mod manifest;
pub mod master;
pub mod names;
pub mod pairing;
pub mod preparation;
pub mod report;
pub mod result;
pub mod scan;
pub mod search;
pub mod selection;
pub mod timeline;
pub mod trust;
pub mod tui;
