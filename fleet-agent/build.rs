//! Names the engine by its sources, so that no result of another engine is ever taken for one of this one.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// What decides a record: the engine, the record's own shape, how it is packed, and the versions of the grammars.
const SOURCES: [&str; 5] = ["src/analysis.rs", "src/analysis", "src/pack.rs", "../src/core/wire/record.rs", "Cargo.toml"];

/// All that the agent's program is made of, to tell two builds apart.
const ALL: [&str; 3] = ["src", "../src/core", "Cargo.toml"];

fn main() -> io::Result<()> {
    println!("cargo::rustc-env=BITACORA_ENGINE={:016x}", hash_of(&SOURCES)?);
    println!("cargo::rustc-env=BITACORA_BUILD={:016x}", hash_of(&ALL)?);
    Ok(())
}

fn hash_of(sources: &[&str]) -> io::Result<u64> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    for source in sources {
        println!("cargo::rerun-if-changed={source}");
        collect(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hash = Fnv::default();
    for file in files {
        let name = file.strip_prefix(&root).unwrap_or(&file);
        hash.update(name.to_string_lossy().as_bytes());
        hash.update(&fs::read(&file)?);
    }
    Ok(hash.0)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    fs::read_dir(path)?.try_for_each(|entry| collect(&entry?.path(), files))
}

/// FNV-1a (Fowler, Noll, Vo): enough to tell one's own versions apart.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
