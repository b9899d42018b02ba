//! Tests of the whole program: the real binary, real files, real processes and signals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod analyze;
mod authority;
mod bridge;
mod cache;
mod calls;
mod commands;
mod completions;
mod config;
mod crashes;
mod dashboard;
mod elsewhere;
mod fleet;
mod full;
mod hostile;
mod hybrid;
mod interrupted;
mod kills;
mod lan;
mod liars;
mod logging;
mod lost;
mod manners;
mod middle;
mod neighbours;
mod nodes;
mod operators;
mod pictures;
mod puppet;
mod quarantine;
mod readme;
mod scripts;
mod soak;
mod sparks;
mod support;
mod terminals;
mod tidy;
mod trials;
mod trust;
mod usurpers;
mod walk;
