//! The engine through its one door: a text in, a record out.

use std::sync::atomic::AtomicBool;

use bitacora_core::wire::{
    record::{FileRecord, Function},
    task::FileLimits,
};

use super::{AnalysisError, Engine, LanguageIndex, languages::LANGUAGES};

fn analyse(language: &str, text: &str) -> Result<FileRecord, AnalysisError> {
    let language = LanguageIndex::by_name(language).unwrap();
    Engine::default().analyse(text.as_bytes(), language, &FileLimits::default(), &AtomicBool::new(false))
}

fn first_function(language: &str, text: &str) -> Function {
    analyse(language, text).unwrap().functions.remove(0)
}

fn symbols(language: &str, text: &str) -> Vec<(String, String)> {
    analyse(language, text).unwrap().symbols.into_iter().map(|symbol| (symbol.name, symbol.visibility)).collect()
}

fn imports(language: &str, text: &str) -> Vec<String> {
    analyse(language, text).unwrap().imports
}

#[test]
fn a_run_of_one_logical_operator_counts_once() {
    for (language, text, cognitive) in [
        ("c", "int f(int a, int b, int c) { return a && b && c; }", 1),
        ("c", "int f(int a, int b, int c) { return a && b || c; }", 2),
        ("c", "int f(int a, int b, int c, int d) { return a && b // why\n && c // so\n && d; }", 1),
        ("rust", "fn f() { if let Some(a) = x && let Some(b) = y && a && b { g() } else { h() } }", 3),
        ("python", "def f(a, b, c):\n    return a and b and c\n", 1),
        ("go", "func f(a, b, c bool) bool { return a || b || c && a }", 2),
    ] {
        assert_eq!(first_function(language, text).cognitive, cognitive, "{language}: {text}");
    }
}

#[test]
fn void_is_no_parameter_and_bool_is_one() {
    for (text, parameters) in [("int f(void) {}", 0), ("int f(bool) {}", 1), ("int f(char) {}", 1), ("int f(int a, char b) {}", 2)] {
        assert_eq!(first_function("cpp", text).parameters, parameters, "{text}");
    }
}

#[test]
fn symbols_have_their_own_names_and_visibility() {
    let named = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, visibility)| ((*name).to_owned(), (*visibility).to_owned())).collect::<Vec<_>>();
    assert_eq!(symbols("go", "package p\nvar foo, Bar int\n"), named(&[("foo", "package"), ("Bar", "public")]));
    let python = "class A:\n    def __init__(self): pass\n    def _b(self): pass\n";
    assert_eq!(symbols("python", python), named(&[("A", "public"), ("__init__", "public"), ("_b", "private")]));
    assert_eq!(symbols("javascript", "const { x, y: z } = f();\nconst [a] = g();\nconst w = 1;\n"), named(&[("w", "")]));
}

#[test]
fn a_byte_order_mark_is_no_character_of_the_first_line() {
    for (language, text, name) in [
        ("python", "def f(): pass\n", "f"),
        ("c-sharp", "class A { }\n", "A"),
        ("c", "int f(void) { return 1; }\n", "f"),
        ("typescript", "class A { é = 1; b = 2; }\n", "b"),
    ] {
        let (plain, marked) = (analyse(language, text).unwrap(), analyse(language, &format!("\u{feff}{text}")).unwrap());
        assert!(plain.symbols.iter().any(|symbol| symbol.name == name), "{language}: {plain:?}");
        assert_eq!((marked.symbols, marked.lines, marked.functions), (plain.symbols, plain.lines, plain.functions), "{language}");
    }
    let comment = analyse("c-sharp", "\u{feff}// Licensed to nobody.\nclass A { }\n").unwrap();
    assert_eq!((comment.lines.comment, comment.lines.code), (1, 1));
}

#[test]
fn imports_name_what_is_imported() {
    assert_eq!(imports("python", "import numpy as np, os.path\nfrom a.b import c as d\n"), ["numpy", "os.path", "a.b"]);
    assert_eq!(imports("bash", "source ./lib.sh\n. lib2.sh\n. \"$HOME/x.sh\"\nsourcery no\n"), ["./lib.sh", "lib2.sh", "$HOME/x.sh"]);
    assert_eq!(imports("javascript", "const a = require('b');\nimport c from \"d\";\nimport(/* lazily */ './e');\n"), ["b", "d", "./e"]);
    assert_eq!(imports("java", "import a.b.C;\nimport static a.b.D.e;\nclass F {}\n"), ["a.b.C", "a.b.D.e"]);
    assert_eq!(imports("c-sharp", "using System.Text;\nusing A = B.C;\n")[0], "System.Text");
    assert_eq!(imports("ruby", "require 'a'\nautoload :B, 'c/b'\nautoload :D\n"), ["a", "c/b"]);
}

/// Work that grows with the square of the size would make these take minutes; a linear walk takes no time worth naming.
#[test]
fn deep_and_long_texts_end() {
    let nested = format!("m!{{{}{}}}", "fn a(".repeat(60_000), ")".repeat(60_000));
    assert!(analyse("rust", &nested).is_ok());
    let many = format!("{}int {};", " ".repeat(400_000), vec!["a"; 200_000].join(","));
    assert!(analyse("c", &many).is_ok());
    let comments = format!("{}{}", " ".repeat(200_000), "x /**/ ".repeat(100_000));
    assert!(analyse("c", &comments).is_ok());
}

#[test]
fn a_record_has_a_limit() {
    let long = "x".repeat(500);
    let names: Vec<String> = (0..150_000).map(|number| format!("e{number}")).collect();
    let text = format!("namespace {long} {{ namespace {long} {{ enum e {{ {} }}; }} }}", names.join(", "));
    assert!(matches!(analyse("cpp", &text), Err(AnalysisError::TooLarge(_))));
}

/// Functions without a name by the hundred thousand: the path of what they stand in is spelled out once, and there is an end.
#[test]
fn nested_functions_have_a_limit() {
    for language in ["javascript", "typescript", "tsx"] {
        let text = |levels: usize| format!("{}{{ function inner() {{}} }}", "a=>\n".repeat(levels));
        let record = analyse(language, &text(50_000)).unwrap();
        assert_eq!(record.functions.len(), 50_001, "{language}");
        let container = &record.symbols.iter().find(|symbol| symbol.name == "inner").unwrap().container;
        assert!(container.starts_with("(anonymous).(anonymous).") && container.len() <= 1024, "{language}: {container}");
        assert!(matches!(analyse(language, &text(500_000)), Err(AnalysisError::TooLarge(_))), "{language}");
    }
}

#[test]
fn nested_texts_and_conditions_end() {
    let texts = format!("{}x{}\n\n", "`${\n\n".repeat(50_000), "}`".repeat(50_000));
    let record = analyse("javascript", &texts).unwrap();
    assert_eq!((record.lines.total, record.lines.code, record.lines.blank), (100_002, 100_001, 1));
}

/// Deep conditions come to more than the number holds: what is counted after them leaves it there.
#[test]
fn cognitive_complexity_ends_at_the_most_that_its_number_holds() {
    let deep = "if(a)".repeat(100_000);
    for last in ["", "if(a&&a)", "if(a);else ", "goto end;end:", "f(a)"] {
        let record = analyse("c", &format!("void f(int a) {{ {deep}{last}; }} void g(int a) {{ if(a); }}")).unwrap();
        let functions: Vec<u32> = record.functions.iter().map(|function| function.cognitive).collect();
        assert_eq!((functions, record.cognitive), (vec![u32::MAX, 1], u32::MAX), "{last:?}");
    }
}

/// What parses in a moment may walk for long.
#[test]
fn a_walk_looks_at_the_clock() {
    let language = LanguageIndex::by_name("json").unwrap();
    let limits = FileLimits { wall_max: bitacora_core::time::Span(0), ..FileLimits::default() };
    let text = format!("[{}1]", "1,".repeat(3_000));
    let result = Engine::default().analyse(text.as_bytes(), language, &limits, &AtomicBool::new(false));
    assert!(matches!(result, Err(AnalysisError::TimedOut(_))), "{result:?}");
}

#[test]
fn a_walk_can_be_cancelled() {
    let language = LanguageIndex::by_name("json").unwrap();
    let text = format!("[{}1]", "1,".repeat(100_000));
    let result = Engine::default().analyse(text.as_bytes(), language, &FileLimits::default(), &AtomicBool::new(true));
    assert_eq!(result.unwrap_err(), AnalysisError::Cancelled);
}

/// A misspelt kind would silently measure nothing.
#[test]
fn every_kind_in_a_table_exists_in_its_grammar() {
    for language in LANGUAGES {
        let grammar = (language.grammar)();
        let exists = |name: &str, named: bool| {
            let count = u16::try_from(grammar.node_kind_count()).unwrap();
            (0..count).any(|id| grammar.node_kind_for_id(id) == Some(name) && grammar.node_kind_is_named(id) == named)
        };
        let definitions = language.definitions.iter().map(|definition| definition.node);
        let imports = language.imports.iter().map(|import| import.node);
        let calls = language.cognitive.calls.iter().map(|(node, _)| *node);
        let lists = [
            language.comments,
            language.atoms,
            language.texts,
            language.code_in_atoms,
            language.parameter_lists,
            language.not_parameters,
            language.cognitive.nests,
            language.cognitive.ifs,
            language.outside_conditions,
        ];
        let named = definitions.chain(imports).chain(calls).chain(lists.into_iter().flatten().copied());
        let missing: Vec<&str> = named.filter(|name| !exists(name, true)).collect();
        assert_eq!(missing, Vec::<&str>::new(), "named kinds of {}", language.name);
        let missing: Vec<&&str> = language.cognitive.logical.iter().filter(|token| !exists(token, false)).collect();
        assert_eq!(missing, Vec::<&&str>::new(), "tokens of {}", language.name);
    }
}
