//! A node of the fleet: the analysis engine, its store of results, and the loop around `core::agent`.
//!
//! - [`analysis`] turns the bytes of one file into one record and knows nothing else.
//! - [`listing`] finds the files of a tree.
//! - [`blobs`] keeps bytes by their hash; [`pack`] lays records and their symbols into one blob; [`cache`] finds a record again.
//! - [`crash`] are the points at which tests kill the process between two steps of writing.
//! - [`search`] finds names in the lists of packs.
//! - [`root`] opens files of a project and none outside of it.
//! - [`net`] is how nodes find, trust and reach one another.
//! - [`link`] is an agent's life with a master over the network, [`callers`] are who dials it, [`life`] is the process around it, [`resident`] the one on the master's own machine.
//! - [`doctor`] looks whether the machine lets an agent work.
//! - [`sense`] reads how loaded the machine is.
//! - [`work`] runs one spark; [`isolation`] is the engine in a child process; [`driver`] is the loop around both for a master.
#[cfg(windows)]
compile_error!("Bitácora fleets runs on Linux, macOS and Termux; Windows is not supported (use WSL)");

/// Tells two builds of this package apart.
pub const BUILD: &str = env!("BITACORA_BUILD");

pub mod allowance;
pub mod analysis;
pub mod blobs;
pub mod cache;
pub mod callers;
pub mod children;
pub mod clock;
pub mod command;
pub mod configuration;
pub mod confine;
pub mod crash;
pub mod doctor;
pub mod driver;
pub mod isolation;
pub mod life;
pub mod link;
pub mod listing;
pub mod logging;
pub mod neighbours;
pub mod net;
pub mod pack;
pub mod resident;
pub mod root;
pub mod search;
pub mod sense;
pub mod sight;
pub mod work;
