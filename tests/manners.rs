//! What a person meets who uses the program for the first time: words that say what is so, and output as other programs have it.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Output,
};

use bitacora::data::DataDirectory;
use serde_json::Value;

use super::support::{Place, report};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn metrics_have_one_order_and_one_limit() {
    let place = Place::new();
    for (name, conditions) in [("b.py", 3), ("a.py", 1), ("d.py", 9), ("c.py", 3)] {
        place.write(name, format!("def f(x):\n{}", "    if x: pass\n".repeat(conditions)));
    }
    place.analyse(0);
    let whole = ["d.py", "b.py", "c.py", "a.py"];
    let json = |arguments: &[&str]| -> Vec<String> {
        let items = report(&place.run(&[&["metrics", "-o", "json"], arguments].concat()), 0)["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((lines(&place.run(&["metrics", "-o", "name"])), json(&[])), (whole.map(str::to_owned).to_vec(), whole.map(str::to_owned).to_vec()));
    let table = lines(&place.run(&["metrics", "-o", "plain"]));
    assert!(table[1..].iter().zip(whole).all(|(line, path)| line.ends_with(path)), "{table:?}");
    assert_eq!(
        (lines(&place.run(&["metrics", "-o", "name", "--limit", "2"])), json(&["--limit", "2"])),
        (vec!["d.py".into(), "b.py".into()], vec!["d.py".into(), "b.py".into()])
    );
    assert_eq!(lines(&place.run(&["metrics", "-o", "plain", "--limit", "2"])).len(), 3);
}

#[test]
fn imports_lead_to_files_and_circles_are_named() {
    let place = Place::new();
    for (name, text) in [
        ("app/main.c", "#include <stdio.h>\n#include \"x.h\"\n"),
        ("app/x.h", "#include \"y.h\"\n"),
        ("app/y.h", "#include \"x.h\"\n"),
        ("a.py", "import os\nimport b\n"),
        ("b.py", "x = 1\n"),
    ] {
        place.write(name, text);
    }
    place.analyse(0);
    let listed = lines(&place.run(&["deps", "-o", "plain"]));
    assert_eq!(listed, ["used_by\tuses\toutside\tfile", "2\t1\t0\tapp/x.h", "1\t1\t0\tapp/y.h", "1\t0\t0\tb.py", "0\t1\t1\ta.py", "0\t1\t1\tapp/main.c"]);
    let items = report(&place.run(&["deps", "-o", "json", "--limit", "1"]), 0)["items"].clone();
    assert_eq!(items, serde_json::json!([{ "path": "app/x.h", "language": "c", "uses": [{ "path": "app/y.h" }], "used_by": 2, "outside": [] }]));
    assert_eq!(lines(&place.run(&["deps", "--cycles", "-o", "plain"]))[1..], ["2\t2\tapp/x.h > app/y.h > app/x.h"]);
    place.write("app/y.h", "int y;\n");
    place.analyse(0);
    let none = place.run(&["deps", "--cycles", "-o", "table"]);
    assert!(none.status.success() && none.stdout.is_empty() && said(&none).contains("no files import one another"), "{none:?}");
}

#[test]
fn a_word_that_names_two_projects_changes_neither() {
    let place = Place::new();
    let here = |arguments: &[&str]| place.bitacora(arguments).current_dir(place.path("")).output().unwrap();
    for folder in ["alpha", "beta"] {
        fs::create_dir(place.path(folder)).unwrap();
        fs::write(place.path(folder).join("a.py"), "x = 1\n").unwrap();
        assert_eq!(here(&["analyze", folder]).status.code(), Some(0));
    }
    assert_eq!(here(&["project", "rename", "beta", "gamma"]).status.code(), Some(0));
    let renamed = here(&["project", "rename", "alpha", "beta"]);
    assert!(renamed.status.success() && said(&renamed).is_empty(), "the name is the folder's too: {renamed:?}");
    for change in [&["project", "rm", "beta", "--yes"][..], &["project", "rename", "beta", "delta"]] {
        let refused = here(change);
        assert!(refused.status.code() == Some(5) && said(&refused).contains("called gamma"), "{refused:?}");
    }
    let by_folder = here(&["project", "rename", "alpha", "delta"]);
    assert!(by_folder.status.success() && said(&by_folder).contains("alpha is the folder of project beta"), "{by_folder:?}");
    let projects = report(&here(&["project", "ls", "-o", "json"]), 0);
    let names: Vec<&Value> = projects["items"].as_array().unwrap().iter().map(|project| &project["name"]).collect();
    assert_eq!(names, ["delta", "gamma"]);
}

#[test]
fn errors_say_their_cause_once() {
    let place = Place::new();
    fs::create_dir_all(DataDirectory::open(Some(&place.data())).unwrap().journal()).unwrap();
    let output = place.run(&["project", "ls"]);
    let error = said(&output);
    assert!(output.status.code() == Some(1) && error.matches("unable to open").count() == 1 && !error.contains("rror code"), "{error}");
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let place = Place::new();
    for bytes in [b"hello".to_vec(), b"hello ".repeat(1_000), Vec::new()] {
        fs::write(place.path("state.tar"), bytes).unwrap();
        let output = place.run(&["import", place.path("state.tar").to_str().unwrap()]);
        assert!(output.status.code() == Some(1) && said(&output).contains("the archive is no export of bitacora: it is"), "{output:?}");
    }
}

#[test]
fn a_report_leaves_the_file_that_it_is_written_over_as_it_was() {
    let place = Place::new();
    place.write("a.py", "x = 1\n");
    let (file, link) = (place.path("report.json"), place.path("link.json"));
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
    std::os::unix::fs::symlink("report.json", &link).unwrap();
    let analyse = |out: &Path| place.run(&["analyze", place.tree().to_str().unwrap(), "-o", "json", "--out", out.to_str().unwrap()]).status.code();
    assert_eq!(analyse(&link), Some(0));
    assert!(link.is_symlink() && file.metadata().unwrap().mode() & 0o7777 == 0o604);
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["items"][0]["path"], "a.py");
    let nowhere = place.run(&["analyze", place.tree().to_str().unwrap(), "--out", place.path("no/report").to_str().unwrap()]);
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert!(nowhere.status.code() == Some(1) && said.contains("there is no folder") && !said.contains("at path"), "{said}");
}

#[test]
fn titles_are_bold_where_colours_are_wanted() {
    let place = Place::new();
    place.write("a.py", "x = 1\n");
    place.analyse(0);
    let bold = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = place.bitacora(&[&["metrics", "-o", "table"], arguments].concat());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").envs(environment.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout.starts_with(b"\x1b[1m")
    };
    assert!(!bold(&[], &[]), "this is no terminal");
    assert!(bold(&["--color", "always"], &[]) && bold(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(bold(&["--color", "always"], &[("NO_COLOR", "1")]), "a flag is the last word");
    assert!(!bold(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}
