//! The other commands, and how the program behaves towards shells and people.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Stdio,
};

use bitacora::{data::DataDirectory, journal::Journal, master::Master, result::StoredResult, search};
use bitacora_core::fleet::{Event, Settings};

use super::support::{Place, report, timeless};

/// In order.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

#[test]
fn symbols_are_found_by_name_prefix_part_and_letters() {
    let place = Place::new();
    place.fill(3);
    place.analyse(0);
    let find = |query: &str| {
        let found = report(&place.run(&["symbols", query, "-o", "json"]), 0);
        let first = &found["items"][0];
        (first["name"].as_str().unwrap().to_owned(), first["fit"].as_str().unwrap().to_owned())
    };
    assert_eq!(find("Class1"), ("Class1".into(), "exact".into()));
    assert_eq!(find("Class"), ("Class0".into(), "prefix".into()));
    assert_eq!(find("hing_2"), ("thing_2".into(), "substring".into()));
    assert_eq!(find("fnct27").1, "fuzzy");
    assert_eq!(place.run(&["symbols", "zzzzqqq"]).status.code(), Some(5));
}

#[test]
fn a_name_that_is_gone_hides_none_that_is_like_it() {
    let place = Place::new();
    place.write("kept.py", "def kept(): pass\n");
    place.write("changed.py", "def foobar(): pass\nclass Other:\n    def inner(self): pass\n");
    place.write("z.py", "class Inner:\n    def thing(self): pass\n");
    place.analyse(0);
    let (index, none) = (place.path("index"), place.path("no-index"));
    search::make_index(&last_result(&place), &index, 100).unwrap();
    assert!(found(&place, &none, "foobar").contains("foobar exact"));
    // The pack that has the old names lives on with the other files.
    place.write("changed.py", "def foo_bar(): pass\nclass Inner:\n    def thing(self): pass\n");
    place.analyse(0);
    for index in [&none, &index] {
        assert_eq!(found(&place, index, "foobar"), r#"false ["foo_bar fuzzy changed.py:1 "]"#);
        assert_eq!(found(&place, index, "inner"), r#"false ["Inner exact changed.py:2 ", "Inner exact z.py:1 "]"#);
    }
}

#[test]
fn an_index_of_names_changes_nothing_but_the_time() {
    let place = Place::new();
    place.fill(20);
    place.analyse(0);
    let (index, none) = (place.path("index"), place.path("no-index"));
    let queries = ["function_1", "Class1", "class1", "hing_", "_1_1", "fnct27", "e", "on", "zzzz", "Class3.method", "class3::METHOD", "a\nb", "ſtraße", ""];
    let found = |index: &Path| -> Vec<String> { queries.iter().map(|query| found(&place, index, query)).collect() };
    let before = found(&none);
    assert_eq!((before[8].as_str(), before[9].matches("Class3").count()), ("false []", 1), "{}", before[9]);
    let result = last_result(&place);
    search::make_index(&result, &index, 100).unwrap();
    assert_eq!(found(&index), before);
    // What came since lies in packs that the index does not cover, what went is still in it.
    place.write("d0/new.py", "class New:\n    def function_1(self):\n        pass\n");
    place.write("d3/f3.py", "def another():\n    pass\n");
    place.analyse(0);
    let after = found(&none);
    assert!(after != before && found(&index) == after);
    let whole = std::fs::read(&index).unwrap();
    for damaged in [whole.len() / 3, 60, whole.len() - 5] {
        let mut bytes = whole.clone();
        bytes[damaged] ^= 1;
        std::fs::write(&index, bytes).unwrap();
        assert_eq!(found(&index), after, "byte {damaged}");
    }
}

fn last_result(place: &Place) -> StoredResult {
    let data = DataDirectory::open(Some(&place.data())).unwrap();
    let ledger = Journal::read(&data.journal()).unwrap().unwrap();
    StoredResult::last(&data, ledger.projects.values().next().unwrap()).unwrap()
}

/// All that a search finds, in words.
fn found(place: &Place, index: &Path, query: &str) -> String {
    let found = search::symbols(&mut last_result(place), index, query, 30, 2).unwrap();
    let line =
        |found: &search::Match| format!("{} {} {}:{} {}", found.symbol.name, found.fit.name(), found.path.to_text(), found.symbol.line, found.symbol.container);
    format!("{} {:?}", found.more, found.matches.iter().map(line).collect::<Vec<_>>())
}

#[test]
fn a_report_whose_pack_is_damaged_names_what_is_lost() {
    let place = Place::new();
    place.fill(60);
    let before = place.analyse(0);
    let pack = files_below(&place.data().join("packs")).pop().unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    // The same result again, from its packs.
    let damaged = report(&place.run(&["metrics", "-o", "json"]), 3);
    let (items, errors) = (damaged["items"].as_array().unwrap(), damaged["errors"].as_array().unwrap());
    assert!(!items.is_empty() && !errors.is_empty());
    assert_eq!(items.len() + errors.len(), before["items"].as_array().unwrap().len(), "each file is in one of the lists");
    assert_eq!(errors[0]["reason"], "its record is damaged or gone; the next analysis makes it again");
    let lines = String::from_utf8(place.run(&["metrics", "-o", "ndjson"]).stdout).unwrap();
    let count = |kind: &str| lines.lines().filter(|line| line.starts_with(&format!(r#"{{"kind":"{kind}""#))).count();
    // Its pack is set aside by now, and all of its files are to be analysed again.
    assert!(count("error") >= errors.len(), "{lines}");
    assert_eq!(count("error") + count("file"), items.len() + errors.len());
    assert_eq!(timeless(place.analyse(0)), timeless(before), "the next analysis makes them again");
}

#[test]
fn metrics_come_in_one_order_whatever_the_packs() {
    let place = Place::new();
    place.fill(20);
    let tree = place.tree();
    report(&place.run(&["analyze", tree.to_str().unwrap(), "--partition", "by-language", "-o", "json"]), 0);
    let names = String::from_utf8(place.run(&["metrics", "-o", "name"]).stdout).unwrap();
    let names: Vec<&str> = names.lines().collect();
    for (limit, count) in [("7", 7), ("1000", 40)] {
        let limited = report(&place.run(&["metrics", "--limit", limit, "-o", "json"]), 0);
        let paths: Vec<&str> = limited["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap()).collect();
        assert_eq!(paths, names[..count]);
    }
    let mut result = last_result(&place);
    let mut files = result.files(|_| true).unwrap();
    files.sort_by_key(|(path, _)| path.as_bytes().iter().rev().copied().collect::<Vec<u8>>());
    let (mut packs, mut numbers) = (Vec::new(), Vec::new());
    let lacking = result.each_as_it_lies(files.clone(), |number, path, _| {
        assert_eq!(*path, files[number].0);
        numbers.push(number);
        packs.push(files[number].1.pack);
        Ok(())
    });
    assert!(lacking.unwrap().is_empty());
    packs.dedup();
    let opened = packs.len();
    packs.sort_unstable();
    packs.dedup();
    assert_eq!((packs.len() > 1, opened), (true, packs.len()), "each pack is opened once");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
}

#[test]
fn a_qualified_name_is_found_among_many_that_merely_hold_it() {
    let place = Place::new();
    for number in 0..400 {
        place.write(&format!("m{number}.py"), format!("def read_{number}(): pass\nclass Other{number}:\n    def read(self): pass\n"));
    }
    place.write("z.py", "class Path:\n    def read(self): pass\n    def readlink(self): pass\n");
    place.analyse(0);
    let found = |limit: &str| {
        let found = report(&place.run(&["symbols", "Path.read", "--limit", limit, "-o", "json"]), 0);
        found["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("1"), ["read"]);
    assert_eq!(found("9"), ["read", "readlink"]);
    let told = place.run(&["symbols", "Path.read", "--limit", "9"]);
    assert!(!String::from_utf8_lossy(&told.stderr).contains("there are more"), "{told:?}");
}

#[test]
fn a_file_or_a_folder_is_what_a_symbol_stands_in_where_its_language_has_it_so() {
    let place = Place::new();
    place.write("json/__init__.py", "def loads(text): pass\n");
    place.write("json/decoder.py", "class Scanner:\n    def scan(self): pass\n");
    place.write("pickle.py", "def loads(data): pass\n");
    place.write("pkg/net/dial.go", "package net\n\nfunc Dial() {}\n");
    place.write("src/scan.rs", "pub fn found() {}\n");
    place.write("src/lost.rs", "pub fn found() {}\n");
    place.write("web/view.ts", "export function draw() {}\n");
    place.write("Other.java", "class A { void draw() {} }\n");
    place.analyse(0);
    let found = |query: &str| {
        let found = report(&place.run(&["symbols", query, "-o", "json"]), 0);
        found["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("json.loads"), ["json/__init__.py"]);
    assert_eq!(found("pickle.loads"), ["pickle.py"]);
    assert_eq!(found("json.decoder.Scanner.scan"), ["json/decoder.py"]);
    assert_eq!(found("net.Dial"), ["pkg/net/dial.go"]);
    assert_eq!(found("scan::found"), ["src/scan.rs"]);
    assert_eq!(found("view.draw"), ["web/view.ts"]);
    assert_eq!(place.run(&["symbols", "Other.draw"]).status.code(), Some(5), "a Java file is no module");
}

#[test]
fn projects_can_be_listed_renamed_and_removed() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    assert_eq!(place.run(&["project", "rename", "tree", "mine"]).status.code(), Some(0));
    let projects = report(&place.run(&["project", "ls", "-o", "json"]), 0);
    assert_eq!(projects["items"][0]["name"], "mine");
    assert_eq!(place.run(&["analyze", "mine"]).status.code(), Some(0));
    assert_eq!(place.run(&["project", "rm", "mine"]).status.code(), Some(9), "it asks for --yes");
    assert_eq!(place.run(&["project", "rm", "mine", "--dry-run"]).status.code(), Some(10));
    assert_eq!(place.run(&["project", "rm", "mine", "--yes"]).status.code(), Some(0));
    assert_eq!(place.run(&["project", "show", "mine"]).status.code(), Some(5));
    assert_eq!(place.run(&["cache", "gc"]).status.code(), Some(0));
    let stats = report(&place.run(&["cache", "stats", "-o", "json"]), 0);
    assert_eq!((&stats["items"][0]["packs"], &stats["items"][0]["results"]), (&0.into(), &0.into()));
}

#[test]
fn a_project_can_be_known_before_anything_of_it_is_analysed() {
    let place = Place::new();
    place.fill(2);
    let tree = place.tree();
    let add = |more: &[&str]| place.run(&[&["project", "add", tree.to_str().unwrap()], more].concat());
    assert_eq!(add(&["--dry-run"]).status.code(), Some(10));
    assert_eq!(add(&["--name", "a/b"]).status.code(), Some(2));
    let added = add(&["--name", "mine"]);
    assert_eq!(added.status.code(), Some(0), "{}", String::from_utf8_lossy(&added.stderr));
    let listed = report(&place.run(&["project", "ls", "-o", "json"]), 0);
    let project = &listed["items"][0];
    assert_eq!((project["name"].as_str(), project["results"].as_array().map(Vec::len)), (Some("mine"), Some(0)));
    assert_eq!(String::from_utf8_lossy(&added.stdout).trim(), project["id"].as_str().unwrap());
    let again = add(&["--name", "other"]);
    assert_eq!((again.status.code(), again.stdout), (Some(0), added.stdout), "it is the same one");
    assert!(String::from_utf8_lossy(&again.stderr).contains("is known as project mine"));
    assert_eq!(add(&["--dry-run"]).status.code(), Some(0));
    let elsewhere = place.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let taken = place.run(&["project", "add", elsewhere.to_str().unwrap(), "--name", "mine"]);
    assert_eq!(taken.status.code(), Some(9), "and nothing is added");
    place.analyse(0);
    assert_eq!(report(&place.run(&["project", "ls", "-o", "json"]), 0)["items"].as_array().unwrap().len(), 1);
    assert_eq!(place.run(&["project", "add", "/no/such/folder"]).status.code(), Some(2));
}

#[test]
fn mistakes_are_usage_errors_that_say_what_to_do() {
    let place = Place::new();
    for arguments in [&["analyze", "/does/not/exist"][..], &["analyze", "--job", "embedding-generation", "."], &["job", "show", "7"], &["frobnicate"]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    place.fill(60);
    place.analyse(0);
    let mut child = place.bitacora(&["analyze", place.tree().to_str().unwrap(), "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn what_is_over_needs_no_master_to_be_waited_for() {
    let place = Place::new();
    place.fill(2);
    place.analyse(0);
    let code = |words: &[&str]| place.run(words).status.code();
    let job = report(&place.run(&["job", "ls", "-o", "json"]), 0)["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!((code(&["wait", &job, "--for", "completed"]), code(&["job", "watch", &job])), (Some(0), Some(0)));
    assert_eq!((code(&["wait", "j9.9", "--for", "over"]), code(&["job", "watch", "j9.9"])), (Some(5), Some(5)));
    assert_eq!(code(&["wait", "one", "--for", "idle"]), Some(7), "a node is as a master sees it");
}

#[test]
fn a_job_says_what_became_of_it() {
    let place = Place::new();
    place.fill(2);
    place.analyse(0);
    let jobs = report(&place.run(&["job", "ls", "-o", "json"]), 0);
    let job = jobs["items"][0]["id"].as_str().unwrap();
    assert_eq!(jobs["items"][0]["status"], "completed");
    let explained = place.run(&["job", "explain", job]);
    assert_eq!(String::from_utf8_lossy(&explained.stdout).trim(), "the job is completed");
    assert_eq!(place.run(&["job", "cancel", job]).status.code(), Some(9));
    assert_eq!(place.run(&["job", "cancel", "j99.1"]).status.code(), Some(5));
}

#[test]
fn every_kind_of_document_fits_its_schema() {
    let place = Place::new();
    place.fill(2);
    place.write("round.py", "import square\n");
    place.write("square.py", "import round\n");
    place.analyse(0);
    let jobs = report(&place.run(&["job", "ls", "-o", "json"]), 0);
    let job = jobs["items"][0]["id"].as_str().unwrap();
    assert_eq!(place.run(&["job", "cancel", job]).status.code(), Some(9), "refused, and so in the audit");
    let tree = place.tree();
    let tree = tree.to_str().unwrap();
    let kinds = String::from_utf8(place.run(&["schema"]).stdout).unwrap();
    for kind in kinds.lines() {
        let command: &[&str] = match kind {
            "analysis" => &["metrics"],
            "bench-analysis" => &["bench", "analysis", "--rounds", "1", tree],
            "bench-link" => &["bench", "link", "--megabytes", "1", "--requests", "100", "--connects", "1"],
            "audit" => &["audit", "ls"],
            "cache" => &["cache", "stats"],
            "jobs" => &["job", "ls"],
            // Take a master that serves: tests/fleet.rs, tests/nodes.rs and tests/sparks.rs hold them to their schemas.
            "bench" | "discovered" | "events" | "doctor" | "moment" | "node" | "nodes" | "operators" | "script" => continue,
            "config" => &["config", "show"],
            "cycles" => &["deps", "--cycles"],
            "dependencies" => &["deps"],
            "projects" => &["project", "show"],
            "reasons" => &["job", "explain", job],
            "verification" => &["audit", "verify"],
            "replay" => &["replay"],
            "sparks" => &["job", "show", job],
            "symbols" => &["symbols", "Class"],
            other => panic!("no command is known for {other}"),
        };
        let document = report(&place.run(&[command, &["-o", "json"]].concat()), 0);
        let schema = report(&place.run(&["schema", kind]), 0);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{kind}: {errors:?}");
        assert!(!document["items"].as_array().unwrap().is_empty(), "{kind}");
    }
}

#[test]
fn an_export_is_whole_on_another_device_and_damage_is_refused() {
    let (here, there) = (Place::new(), Place::new());
    here.fill(3);
    let before = report(&here.analyse_as("json"), 0);
    let file = here.path("state.tar");
    assert_eq!(here.run(&["export", "--out", file.to_str().unwrap()]).status.code(), Some(0));
    let whole = std::fs::read(&file).unwrap();
    for damaged in [&whole[..whole.len() / 2], &whole[..whole.len() - 4096], b"hello"] {
        std::fs::write(there.path("bad.tar"), damaged).unwrap();
        assert_eq!(there.run(&["import", there.path("bad.tar").to_str().unwrap()]).status.code(), Some(1));
        assert_eq!(there.run(&["project", "show"]).status.code(), Some(5), "nothing came of it");
    }
    let planned = there.run(&["import", "--dry-run", file.to_str().unwrap()]);
    assert!(planned.status.code() == Some(10) && String::from_utf8_lossy(&planned.stderr).contains("would import 1 project, "), "{planned:?}");
    assert_eq!(there.run(&["project", "show"]).status.code(), Some(5), "it was told and not done");
    assert_eq!(there.run(&["import", file.to_str().unwrap()]).status.code(), Some(0));
    for arguments in [&["import"][..], &["import", "--dry-run"]] {
        assert_eq!(there.run(&[arguments, &[file.to_str().unwrap()]].concat()).status.code(), Some(9), "it is not empty any more");
    }
    let found = report(&there.run(&["symbols", "Class1", "-o", "json"]), 0);
    assert_eq!(found["items"][0]["fit"], "exact");
    let metrics = report(&there.run(&["metrics", "-o", "json"]), 0);
    assert_eq!(metrics["summary"], before["summary"]);
}

#[test]
fn records_that_an_import_left_out_are_not_called_damaged() {
    let (here, there) = (Place::new(), Place::new());
    here.fill(3);
    here.analyse(0);
    let file = here.path("state.tar");
    assert_eq!(here.run(&["export", "--no-packs", "--out", file.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(there.run(&["import", file.to_str().unwrap()]).status.code(), Some(0));
    for query in [&["symbols", "Class1"][..], &["metrics", "-o", "json"]] {
        let asked = there.run(query);
        let said = String::from_utf8_lossy(&asked.stderr);
        assert_eq!(asked.status.code(), Some(3), "{said}");
        assert!(said.contains("not here") && said.contains("`bitacora analyze tree`"), "{said}");
        assert!(!said.contains("damaged") && !said.contains("no symbol"), "{said}");
    }
    assert_eq!(there.run(&["analyze", "tree"]).status.code(), Some(0));
    assert_eq!(there.run(&["symbols", "Class1"]).status.code(), Some(0), "the analysis brought them");
}

#[test]
fn the_link_is_measured_over_each_carrier() {
    let place = Place::new();
    let measured = report(&place.run(&["bench", "link", "--megabytes", "2", "--requests", "200", "--connects", "2", "-o", "json"]), 0);
    let carriers: Vec<&str> = measured["items"].as_array().unwrap().iter().map(|item| item["carrier"].as_str().unwrap()).collect();
    assert_eq!(carriers, ["quic", "websocket"]);
}

#[test]
fn a_definition_is_shown_with_its_source() {
    let place = Place::new();
    place.fill(2);
    place.analyse(0);
    let found = report(&place.run(&["symbols", "Class1", "--source", "-o", "json"]), 0);
    let source = &found["items"][0]["source"];
    assert_eq!(source["text"], "class Class1:\n    def method(self):\n        return 1\n");
    assert_eq!((&source["as_analysed"], &source["cut"]), (&true.into(), &false.into()));
    let schema = report(&place.run(&["schema", "symbols"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&found), "{found}");
    let text = String::from_utf8(place.run(&["symbols", "Class1", "--source"]).stdout).unwrap();
    assert!(text.contains("f1.py:5: class Class1\nclass Class1:\n    def method(self):\n"), "{text}");
    place.write("d1/f1.py", "# moved\n\n\n\n\nclass Class1:\n    pass\n");
    let found = report(&place.run(&["symbols", "Class1", "--source", "-o", "json"]), 0);
    assert_eq!(found["items"][0]["source"]["as_analysed"], false);
    std::fs::remove_file(place.tree().join("d1/f1.py")).unwrap();
    let found = report(&place.run(&["symbols", "Class1", "--source", "-o", "json"]), 0);
    assert!(found["items"][0].get("source").is_none(), "{found}");
}

#[test]
fn a_project_is_shown_with_what_its_result_comes_to() {
    let place = Place::new();
    place.fill(2);
    place.analyse(0);
    let shown = report(&place.run(&["project", "show", "-o", "json"]), 0);
    let summary = &shown["items"][0]["summary"];
    let languages: Vec<&str> = summary["languages"].as_array().unwrap().iter().map(|language| language["language"].as_str().unwrap()).collect();
    assert_eq!(languages.len(), 2);
    assert!(languages.contains(&"python") && languages.contains(&"c"), "{languages:?}");
    assert!(summary["worst"][0]["cyclomatic"].as_u64().unwrap() > 1, "{summary}");
    let listed = report(&place.run(&["project", "ls", "-o", "json"]), 0);
    assert!(listed["items"][0].get("summary").is_none(), "a list is read often");
}

#[test]
fn the_newest_records_of_the_audit_can_be_had_alone() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    let job = report(&place.run(&["job", "ls", "-o", "json"]), 0)["items"][0]["id"].as_str().unwrap().to_owned();
    (0..3).for_each(|_| assert_eq!(place.run(&["job", "cancel", &job]).status.code(), Some(9)));
    let all = report(&place.run(&["audit", "ls", "-o", "json"]), 0)["items"].as_array().unwrap().clone();
    let last = report(&place.run(&["audit", "ls", "--last", "2", "-o", "json"]), 0)["items"].as_array().unwrap().clone();
    assert_eq!((all.len() > 2, last.as_slice()), (true, &all[all.len() - 2..]));
}

#[test]
fn who_has_it_read_aloud_types_command_lines() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    let run = |arguments: &[&str], typed: &str| {
        let mut child = place.bitacora(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, said, notes) = run(&["--plain"], "project ls\nnonsense\nproject 'rm\n\nquit\nproject ls\n");
    assert_eq!(code, Some(0));
    assert_eq!(said.matches("tree").count(), 2, "the name and the folder, once: {said}");
    assert!(notes.contains("done") && notes.contains("exit code 2") && notes.contains("a quote is not ended"), "{notes}");
    // A command is that command, also where an action is called so; an action with what it is about is its command.
    let (_, said, notes) = run(&["--plain"], "events\nhelp node\nrename tree other\nproject ls\nrename other tree\nraise j1.1\n");
    assert!(said.contains("cordon") && said.contains("other") && !notes.contains("to be done in a dashboard"), "{said} {notes}");
    assert!(notes.contains("raise is about what is selected"), "{notes}");
    let (code, _, notes) = run(&["--plain", "--read-only"], "project rm tree --yes\n");
    assert_eq!((code, notes.contains("this dashboard is read-only")), (Some(0), true));
    assert_eq!(place.run(&["project", "show"]).status.code(), Some(0), "it is still there");
    assert_eq!(place.run(&["--plain", "project", "ls"]).status.code(), Some(2), "that is about the dashboard");
}

#[test]
fn a_job_that_is_over_says_so_and_still_knows_its_files() {
    let place = Place::new();
    place.fill(3);
    place.analyse(0);
    let jobs = report(&place.run(&["job", "ls", "-o", "json"]), 0);
    let job = &jobs["items"][0];
    assert_eq!((&job["stage"], &job["percent"], &job["files_done"], &job["files"]), (&"completed".into(), &100.into(), &6.into(), &6.into()));
    let sparks = report(&place.run(&["job", "show", job["id"].as_str().unwrap(), "-o", "json"]), 0);
    let files: u64 = sparks["items"].as_array().unwrap().iter().map(|spark| spark["files"].as_u64().unwrap()).sum();
    assert_eq!(files, 6);
}

#[test]
fn a_project_is_assigned_to_nodes_that_there_are_and_says_so_where_none_is() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    let assigned = place.run(&["project", "assign", "tree", "nope"]);
    assert_eq!(assigned.status.code(), Some(5), "nobody is called so");
    assert!(String::from_utf8_lossy(&assigned.stderr).contains("nope"));
    assert_eq!(place.run(&["analyze", "tree", "--no-cache"]).status.code(), Some(0), "nothing was changed");
    // By a master that served a fleet and does no more.
    let mut master = Master::open(&DataDirectory::open(Some(&place.data())).unwrap(), Settings::for_one_command(), |_| ()).unwrap();
    let project = *master.ledger().projects.keys().next().unwrap();
    master.request(Event::ProjectAssigned { project, nodes: "nope".parse().unwrap() }).unwrap();
    drop(master);
    let refused = place.run(&["analyze", "tree", "--no-cache"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(7), "{said}");
    assert!(said.contains("nope") && said.contains("bitacora serve") && said.contains("bitacora project assign tree"), "{said}");
    assert_eq!(place.run(&["project", "assign", "tree"]).status.code(), Some(0));
    assert_eq!(place.run(&["analyze", "tree", "--no-cache"]).status.code(), Some(0));
}

#[test]
fn no_project_takes_the_name_that_another_ones_id_is() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    assert_eq!(place.run(&["project", "rename", "tree", "p7.1"]).status.code(), Some(2));
    assert_eq!(place.run(&["project", "show", "tree"]).status.code(), Some(0));
}

#[test]
fn of_several_projects_the_one_around_the_working_directory_is_meant() {
    let place = Place::new();
    place.write("one/a.py", "def alone(): pass\n");
    place.write("two/b.py", "def other(): pass\n");
    for tree in ["one", "two"] {
        assert_eq!(place.run(&["analyze", place.tree().join(tree).to_str().unwrap()]).status.code(), Some(0));
    }
    assert_eq!(place.run(&["symbols", "alone"]).status.code(), Some(5), "which one?");
    let inside = |tree: &str| place.bitacora(&["symbols", "alone"]).current_dir(place.tree().join(tree)).output().unwrap();
    let found = inside("one");
    assert_eq!((found.status.code(), String::from_utf8_lossy(&found.stdout).contains("a.py")), (Some(0), true), "{found:?}");
    assert_eq!(inside("two").status.code(), Some(5), "it is not in that one");
}

#[test]
fn a_search_for_nothing_is_a_wrong_command_line_and_wide_shows_more() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    assert_eq!(place.run(&["symbols", ""]).status.code(), Some(2));
    let none = place.run(&["symbols", "zzzzzzzz", "-o", "table"]);
    assert_eq!((none.status.code(), none.stdout.as_slice()), (Some(5), &b""[..]), "no titles over nothing");
    let titles = |arguments: &[&str], format: &str| {
        let output = place.run(&[arguments, &["-o", format]].concat());
        String::from_utf8(output.stdout).unwrap().lines().next().unwrap().split_whitespace().count()
    };
    for arguments in [&["metrics"][..], &["symbols", "Class0"], &["project", "ls"], &["job", "ls"]] {
        assert!(titles(arguments, "wide") > titles(arguments, "table"), "{arguments:?}");
    }
    let refused = place.run(&["analyze", place.tree().to_str().unwrap(), "--only", "[x"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("[x") && !said.contains("[x/"), "{said}");
}
