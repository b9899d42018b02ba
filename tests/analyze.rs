//! `analyze` on trees that are as they should be.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::support::{Place, item, report, skip, timeless};

#[test]
fn a_report_holds_what_is_in_the_tree() {
    let place = Place::new();
    place.write("a.py", "import os\n\n\nclass A:\n    def f(self, x):\n        if x:\n            return 1\n        return 2\n");
    place.write("b/run", "#!/usr/bin/env python3\nprint(1)\n");
    place.write("c.txt", "no source\n");
    place.write(".git/HEAD", "");
    place.write(".gitignore", "ignored.py\n");
    place.write("sub/.ignore", "also.py\n");
    place.write("sub/also.py", "x = 1\n");
    place.write(".hidden.py", "x = 1\n");
    place.write("ignored.py", "x = 1\n");
    let report = place.analyse(0);
    let a = item(&report, "a.py").unwrap();
    assert_eq!(a["language"], "python");
    assert_eq!(a["lines"], json!({"total": 8, "code": 6, "comment": 0, "blank": 2}));
    assert_eq!(a["imports"], json!([{"target": "os"}]));
    let symbols: Vec<(&str, &str, u64, u64, &Value)> = a["symbols"].as_array().unwrap().iter().map(symbol).collect();
    assert_eq!(symbols, [("A", "class", 4, 7, &Value::Null), ("f", "method", 5, 9, &json!("A"))]);
    let function = &a["functions"][0];
    assert_eq!((&function["cyclomatic"], &function["cognitive"], &function["parameters"]), (&json!(2), &json!(1), &json!(2)));
    assert_eq!(item(&report, "b/run").unwrap()["language"], "python");
    assert_eq!(report["items"].as_array().unwrap().len(), 2);
    assert_eq!(report["summary"]["other_files"], 1);
}

fn symbol(symbol: &Value) -> (&str, &str, u64, u64, &Value) {
    let text = |key: &str| symbol[key].as_str().unwrap();
    (text("name"), text("kind"), symbol["line"].as_u64().unwrap(), symbol["column"].as_u64().unwrap(), &symbol["container"])
}

#[test]
fn reports_fit_their_schema() {
    let place = Place::new();
    place.fill(3);
    place.write("bin.c", b"\0\0");
    place.write("page.html", "<html><body>x</body></html>");
    let schema: Value = serde_json::from_str(include_str!("../assets/schemas/analysis.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let report = place.analyse(0);
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let mut broken = report;
    broken["items"][0]["lines"].as_object_mut().unwrap().remove("code");
    assert!(!validator.is_valid(&broken), "the schema can refuse");
}

#[test]
fn editors_and_pages_are_served_too() {
    let place = Place::new();
    place.fill(3);
    place.write("odd|name.c", "int oddly(void) { return 1; }\n");
    let (tree, report) = (place.tree(), place.analyse(0));
    let tree = tree.to_str().unwrap();
    let written = |format| String::from_utf8(place.run(&["analyze", tree, "-o", format]).stdout).unwrap();
    let tags = written("ctags");
    let symbols: usize = report["items"].as_array().unwrap().iter().map(|item| item["symbols"].as_array().unwrap().len()).sum();
    assert!(tags.lines().is_sorted() && symbols > 3, "as its header says: {tags}");
    assert_eq!(tags.lines().filter(|line| !line.starts_with("!_TAG_")).count(), symbols, "{tags}");
    // From where the command runs, which is not there.
    assert!(tags.contains(&format!("\noddly\t{tree}/odd|name.c\t1;\"\tkind:function\tline:1\tlanguage:c\tend:1\n")), "{tags}");
    let page = written("markdown");
    assert!(page.contains("\n## Languages\n\n| Language | Files |") && page.contains("odd\\|name.c:1 |"), "{page}");
}

/// What a browser makes of a page: its elements and their text, after everything in it had time to run.
fn read_by_a_browser(page: &Path) -> Option<String> {
    // As root, and in a container, its own sandbox cannot be made; it reads one file of ours.
    let mut browser = Command::new("chromium-headless-shell");
    browser.args(["--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]).arg(format!("file://{}", page.display()));
    let Ok(output) = browser.stderr(Stdio::null()).output() else {
        skip("chromium-headless-shell");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_page_is_read_by_a_browser_and_names_in_it_do_nothing() {
    let place = Place::new();
    place.fill(3);
    let hostile = "<img src=x onerror=\"document.title='taken'\">";
    place.write(&format!("{hostile}.c"), "int oddly(int a) { return a ? 1 : 2; }\n");
    place.write("<script>document.title='taken too'<.c", "int evenly(int a) { return a ? 1 : 2; }\n");
    let page = place.path("page.html");
    let output = place.run(&["analyze", place.tree().to_str().unwrap(), "-o", "html", "--out", page.to_str().unwrap()]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let Some(shown) = read_by_a_browser(&page) else { return };
    assert!(shown.contains("<title>tree</title>") && shown.contains("<h1>tree</h1>"), "{shown}");
    for heading in ["Code by language", "Languages", "Worst functions"] {
        assert!(shown.contains(&format!("<h2>{heading}</h2>")), "{heading}: {shown}");
    }
    assert!(shown.contains("<td>&lt;img src=x onerror=") && !shown.contains("<img") && !shown.contains("<script"), "{shown}");
    assert!(shown.contains("<meter value=") && shown.ends_with("</body></html>\n"), "{shown}");
}

#[test]
fn the_second_run_says_the_same_and_reads_nothing() {
    let place = Place::new();
    place.fill(20);
    let first = timeless(place.analyse(0));
    age(&place);
    timeless(place.analyse(0));
    let tree = place.tree();
    let output = place.run(&["analyze", tree.to_str().unwrap(), "-o", "table"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("nothing changed"));
    assert_eq!(timeless(place.analyse(0)), first);
    let jobs = report(&place.run(&["job", "ls", "-o", "json"]), 0);
    assert_eq!(jobs["items"].as_array().unwrap().last().unwrap()["sparks"], 0);
}

/// Sets every file's time back, so that it is settled at once.
fn age(place: &Place) {
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for folder in fs::read_dir(place.tree()).unwrap().flatten() {
        for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            fs::File::options().append(true).open(file.path()).unwrap().set_modified(long_ago).unwrap();
        }
    }
    // The inode's change time cannot be set: it must be older than the system's clock ticks.
    std::thread::sleep(std::time::Duration::from_millis(40));
}

#[test]
fn changes_are_seen() {
    let place = Place::new();
    place.fill(4);
    place.analyse(0);
    place.write("d0/f0.py", "def only():\n    pass\n");
    place.write("new.go", "package p\n\nfunc F() {}\n");
    fs::remove_file(place.tree().join("d1/f1.c")).unwrap();
    let changed = timeless(place.analyse(0));
    let fresh = Place::new();
    fresh.fill(4);
    fresh.write("d0/f0.py", "def only():\n    pass\n");
    fresh.write("new.go", "package p\n\nfunc F() {}\n");
    fs::remove_file(fresh.tree().join("d1/f1.c")).unwrap();
    assert_eq!(changed, timeless(fresh.analyse(0)));
}

#[test]
fn every_partitioning_and_any_number_of_threads_give_the_same_report() {
    let place = Place::new();
    place.fill(12);
    let reference = timeless(place.analyse(0));
    for strategy in ["by-file-count", "by-language", "by-complexity", "by-dependencies", "intelligent"] {
        for threads in ["1", "3"] {
            let arguments =
                ["analyze", place.tree().to_str().unwrap(), "-o", "json", "--no-cache", "--partition", strategy, "--threads", threads].map(str::to_owned);
            let output = place.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(timeless(report(&output, 0)), reference, "{strategy} with {threads} threads");
        }
    }
}

#[test]
fn two_commands_at_once_both_succeed() {
    let place = Place::new();
    place.fill(10);
    let other = Place::new();
    other.fill(10);
    let start = |tree: &Place| {
        let tree = tree.tree();
        place.bitacora(&["analyze", tree.to_str().unwrap(), "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (one, two) = (start(&place), start(&other));
    for child in [one, two] {
        assert_eq!(report(&child.wait_with_output().unwrap(), 0)["items"].as_array().unwrap().len(), 20);
    }
    let projects = report(&place.run(&["project", "ls", "-o", "json"]), 0);
    let names: Vec<&str> = projects["items"].as_array().unwrap().iter().map(|project| project["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tree", "tree-2"]);
}

#[test]
fn a_partial_analysis_looks_at_nothing_else_and_loses_nothing() {
    let place = Place::new();
    place.fill(20);
    let tree = place.tree().to_str().unwrap().to_owned();
    let only = |pattern: &str, code| report(&place.run(&["analyze", &tree, "--only", pattern, "-o", "json"]), code);
    let paths = |report: &Value| report["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(paths(&only("d3", 0)), ["d3/f3.c", "d3/f3.py"], "the first result holds no more");
    let whole = place.analyse(0);
    age(&place);
    timeless(place.analyse(0));
    place.write("d3/f3.py", "def changed(): pass\n");
    place.write("d4/f4.py", "def not_asked_for(): pass\n");
    let part = only("d3/*.py", 0);
    assert_eq!(paths(&part), ["d3/f3.py"]);
    assert_eq!(part["summary"]["files"], 1);
    assert_eq!(place.run(&["symbols", "changed"]).status.code(), Some(0));
    assert_eq!(place.run(&["symbols", "not_asked_for"]).status.code(), Some(5), "that file was left as it was");
    let again = place.analyse(0);
    assert_eq!(paths(&again), paths(&whole));
    assert_eq!(place.run(&["symbols", "not_asked_for"]).status.code(), Some(0), "the next whole analysis sees it");
    assert_eq!(place.run(&["analyze", &tree, "--only", "d3/*.rs"]).status.code(), Some(5));
    assert_eq!(place.run(&["analyze", &tree, "--only", "d3", "--job", "full-analysis"]).status.code(), Some(2));
    assert_eq!(place.run(&["analyze", &tree, "--job", "partial-analysis"]).status.code(), Some(2));
}
