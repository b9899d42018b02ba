//! libFuzzer's way to the checks of the frame decoder: `fuzz/run SECONDS`. `tests/agent` runs the same without it.

#![no_main]

#[path = "../frames.rs"]
mod frames;

use std::{env, fs, path::Path};

libfuzzer_sys::fuzz_target!(init: plant(), |bytes: &[u8]| frames::check(bytes));

/// What the fuzzer begins with: each frame behind the byte that says into what pieces it is cut.
fn plant() {
    let Some(folder) = env::var_os("BITACORA_FUZZ_SEEDS") else { return };
    for (number, seed) in frames::seeds().into_iter().enumerate() {
        let file = Path::new(&folder).join(number.to_string());
        fs::write(file, [[7].as_slice(), &seed].concat()).expect("the folder of the seeds can be written");
    }
}
