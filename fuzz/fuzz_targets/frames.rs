//! libFuzzer's way to the checks of the frame decoder: `cargo fuzz run frames`. `tests/agent` runs the same without it.

#![no_main]

#[path = "../frames.rs"]
mod frames;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frames::check(bytes));
