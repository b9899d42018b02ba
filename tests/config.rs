//! The configuration, and what `bitacora doctor` says of this machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use super::support::{Place, report};

fn file(place: &Place) -> PathBuf {
    place.path("config/bitacora/config.toml")
}

fn messages(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_setting_is_set_and_its_file_keeps_what_people_wrote() {
    let place = Place::new();
    let run = |words: &str| place.run(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(Path::new(&says(&run("config path"))), file(&place));
    assert_eq!(says(&run("config get theme")), "auto");
    assert_eq!(run("config set theme mono --dry-run").status.code(), Some(10));
    assert!(!file(&place).exists());
    assert_eq!(run("config set theme mono").status.code(), Some(0));
    let written = fs::read_to_string(file(&place)).unwrap();
    fs::write(file(&place), format!("# mine\n{}\n[keys]\n# never\ndrain = []\n", written.trim().to_owned() + " # for the train")).unwrap();
    for words in
        ["config set theme light", "config set refresh-ms 250", "config set keys.cordon C z", "config set columns.fleet name load", "config unset keys.drain"]
    {
        let output = run(words);
        assert_eq!(output.status.code(), Some(0), "{words}: {}", messages(&output));
    }
    let written = fs::read_to_string(file(&place)).unwrap();
    assert!(written.starts_with("# mine\n") && written.contains("theme = \"light\" # for the train"), "{written}");
    assert_eq!((says(&run("config get keys.cordon")), says(&run("config get keys.drain"))), ("C\nz".into(), "d".into()));
    let shown = report(&run("config show -o json"), 0);
    let of = |key: &str| shown["items"].as_array().unwrap().iter().find(|item| item["key"] == key).unwrap().clone();
    assert_eq!((&of("refresh-ms")["value"], &of("motion")["origin"]), (&250.into(), &"default".into()));
    assert!(of("theme")["origin"].as_str().unwrap().starts_with("file, line "));
    let output = place.bitacora(&["config", "show", "--origin"]).env("BITACORA_THEME", "dark").output().unwrap();
    assert!(says(&output).contains("theme\tdark\tenvironment, BITACORA_THEME"), "{}", says(&output));
}

#[test]
fn what_would_be_wrong_is_not_written() {
    let place = Place::new();
    for (words, about) in [
        ("config set thme dark", "theme"),
        ("config set theme drak", "high-contrast"),
        ("config set theme dark light", "one value"),
        ("config set keys.drain c", "both cordon and drain"),
        ("config set columns.fleet", "at least one"),
        ("config get keys.drian", "keys.drain"),
    ] {
        let output = place.run(&words.split(' ').collect::<Vec<_>>());
        assert!(output.status.code() == Some(2) && messages(&output).contains(about), "{words}: {}", messages(&output));
    }
    assert!(!file(&place).exists());
}

#[test]
fn a_mistake_in_the_file_is_named_by_its_line_before_anything_is_shown() {
    let place = Place::new();
    let other = place.path("other.toml");
    fs::write(&other, "theme = \"dark\"\n[keys]\ndrain = \"c\"\nhelp = \"F1\"\n").unwrap();
    let name = other.to_str().unwrap();
    for arguments in [&["--config", name, "--plain"][..], &["config", "check", name], &["config", "show", "--config", name], &["--config", name]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        for line in ["3:1: ", "4:8: "] {
            assert!(messages(&output).contains(&format!("{name}:{line}")), "{arguments:?}: {}", messages(&output));
        }
    }
    let output = place.bitacora(&["config", "show"]).env("BITACORA_CONFIG", name).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(place.run(&["config", "show", "--config", "/no/such/file"]).status.code(), Some(1));
    assert_eq!(place.run(&["project", "ls", "--config", name]).status.code(), Some(0), "that has nothing to do with it");
}

#[test]
fn doctor_says_what_is_amiss_and_how_to_mend_it() {
    let place = Place::new();
    let document = report(&place.run(&["doctor", "-o", "json"]), 0);
    let schema = report(&place.run(&["schema", "doctor"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&document), "{document}");
    let subjects: Vec<&str> = document["items"].as_array().unwrap().iter().map(|item| item["subject"].as_str().unwrap()).collect();
    for subject in ["terminal", "configuration", "ports", "udp buffers", "multicast", "data directory", "disk"] {
        assert!(subjects.contains(&subject), "{subject}: {subjects:?}");
    }
    assert!(!place.data().exists(), "whoever looks makes nothing");
    fs::create_dir_all(place.data()).unwrap();
    fs::write(place.data().join("journal.sqlite"), "this was a journal once, and is something else by now").unwrap();
    let document = report(&place.run(&["doctor", "-o", "json"]), 1);
    let journal = document["items"].as_array().unwrap().iter().find(|item| item["subject"] == "journal").unwrap();
    assert!(journal["verdict"] == "bad" && journal["remedy"].as_str().unwrap().contains("import"), "{journal}");
}
