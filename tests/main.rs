//! Tests of the whole program: the real binary, real files, real processes and signals.

mod analyze;
mod commands;
mod hostile;
mod interrupted;
mod quarantine;
mod support;
mod tidy;
