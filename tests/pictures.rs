//! The pictures that the README shows: those that are kept are sound, and what makes them makes such.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::support::{Place, skip};

/// A page with several of them is still a page.
const BYTES_MAX: u64 = 200_000;

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/pictures")
}

/// Every tag is ended by its own name, and there is text; the words of it.
fn words_of(svg: &str) -> Vec<String> {
    let (mut open, mut words) = (Vec::new(), Vec::new());
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        assert!(tag.matches('"').count() % 2 == 0, "{tag}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "before {text:?}"),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().unwrap()),
        }
        if open.last() == Some(&"text") {
            assert!(text.split('&').skip(1).all(|rest| ["amp;", "lt;", "gt;"].iter().any(|name| rest.starts_with(name))), "{text}");
            words.push(text.to_owned());
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    words
}

fn check(folder: &Path) {
    let mut pictures = 0;
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, size) = (entry.path(), entry.metadata().unwrap().len());
        assert!(size < BYTES_MAX, "{} has {size} bytes", path.display());
        let text = fs::read_to_string(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "svg") {
            let words = words_of(&text).join(" ");
            assert!(words.contains("demo") && words.contains("live"), "{} says that it is a demo: {words}", path.display());
            pictures += 1;
        } else {
            let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            assert_eq!(lines.next().unwrap()["version"], 2);
            let times: Vec<f64> = lines.map(|line| line[0].as_f64().unwrap()).collect();
            assert!(times.len() > 5 && times.is_sorted());
        }
    }
    assert!(pictures >= 6, "{} has {pictures} pictures", folder.display());
}

#[test]
fn the_kept_pictures_are_sound_and_shown() {
    check(&kept());
    let readme = fs::read_to_string(kept().join("../../README.md")).unwrap();
    let shown: Vec<&str> = readme.split("assets/pictures/").skip(1).filter_map(|rest| rest.split([')', '"', ' ']).next()).collect();
    assert!(shown.len() >= 3, "the README shows {shown:?}");
    shown.iter().for_each(|name| assert!(kept().join(name).exists(), "{name} is shown and not there"));
}

#[test]
fn what_makes_the_pictures_makes_sound_ones() {
    let maker = Path::new(env!("CARGO_BIN_EXE_bitacora")).parent().unwrap().join("examples/pictures");
    if !maker.exists() {
        return skip("the example that makes pictures; `cargo build --examples` builds it");
    }
    let place = Place::new();
    let folder = place.path("pictures");
    let made = Command::new(maker).arg(env!("CARGO_BIN_EXE_bitacora")).arg(&folder).arg("0.3").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    check(&folder);
}
