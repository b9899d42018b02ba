//! Trees to analyse and a way to run the program on them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A tree and a data directory of its own, both gone at the end.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tree")).unwrap();
        Place { folder }
    }

    pub fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Apart from the data: what opens the authority lies here, and not with the person who runs the tests.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.tree().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Many files of several languages: enough for many sparks.
    pub fn fill(&self, files: usize) {
        for number in 0..files {
            self.write(&format!("d{}/f{number}.py", number % 17), python(number));
            self.write(&format!("d{}/f{number}.c", number % 17), c(number));
        }
    }

    /// The program with this place's data directory.
    pub fn bitacora(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bitacora"));
        command.arg("--data-dir").arg(self.data()).args(arguments).stdin(Stdio::null());
        command.env("XDG_STATE_HOME", self.state()).env("XDG_CONFIG_HOME", self.path("config"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.bitacora(arguments).output().unwrap()
    }

    pub fn analyse_as(&self, format: &str) -> Output {
        self.run(&["analyze", self.tree().to_str().unwrap(), "-o", format])
    }

    /// Analyses the tree, expects this exit code, and answers with the report.
    pub fn analyse(&self, code: i32) -> Value {
        report(&self.analyse_as("json"), code)
    }
}

/// The JSON on stdout of a run that ended with this code.
pub fn report(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "stderr: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A report byte for byte, but for the time at which it was made.
pub struct Timeless {
    text: String,
    value: Value,
}

impl Timeless {
    pub fn of(written: &[u8]) -> Timeless {
        const KEY: &str = "\"generated_at\":";
        let text = std::str::from_utf8(written).unwrap();
        let (before, rest) = text.split_once(KEY).unwrap();
        let after = rest.split_once('"').unwrap().1.split_once('"').unwrap().1;
        Timeless { text: format!("{before}{after}"), value: timeless(serde_json::from_str(text).unwrap()) }
    }
}

impl PartialEq for Timeless {
    fn eq(&self, other: &Timeless) -> bool {
        self.text == other.text
    }
}

/// A difference is easier to see in what it says.
impl std::fmt::Debug for Timeless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl std::ops::Deref for Timeless {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

/// A report without the time it was made.
pub fn timeless(mut report: Value) -> Value {
    report.as_object_mut().unwrap().remove("generated_at").unwrap();
    report
}

/// The reason given for a path in one of the report's lists.
pub fn reason<'r>(report: &'r Value, list: &str, path: &str) -> Option<&'r str> {
    report[list].as_array().unwrap().iter().find(|entry| entry["path"] == path)?["reason"].as_str()
}

pub fn item<'r>(report: &'r Value, path: &str) -> Option<&'r Value> {
    report["items"].as_array().unwrap().iter().find(|item| item["path"] == path)
}

/// How many rounds a test with random moments runs: two, or more where there is time.
pub fn rounds() -> u32 {
    std::env::var("BITACORA_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

/// What a machine lacks is a reason to skip on a desk and a failure in CI.
pub fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI lacks {what}");
    // Past the harness, which keeps what passing tests print.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: this machine lacks {what}\n"));
}

/// A command as a person without root's rights would run it; `None` where that cannot be done.
pub fn unprivileged(place: &Place, arguments: &[&str]) -> Option<Command> {
    let is_root = fs::metadata("/proc/self").ok().is_some_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0);
    if !is_root {
        return Some(place.bitacora(arguments));
    }
    // The build folder may be closed to others: the program is copied beside the tree.
    let program = place.path("bitacora");
    fs::copy(env!("CARGO_BIN_EXE_bitacora"), &program).ok()?;
    fs::create_dir_all(place.data()).ok()?;
    open_to_all(place.path("").as_path(), 0o755);
    open_to_all(&place.data(), 0o777);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).arg("--data-dir").arg(place.data()).args(arguments);
    let works = Command::new("setpriv").args(["--reuid=65534", "true"]).status().is_ok_and(|status| status.success());
    works.then_some(command)
}

pub fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn python(number: usize) -> String {
    let function = |i: usize| {
        format!(
            "def function_{number}_{i}(a, b=None, *rest):\n    \"\"\"Says {i}.\"\"\"\n    if a and b or not rest:\n        return a + {i}\n    for x in rest:\n        while x:\n            x -= 1\n    return [y for y in rest if y]\n\n"
        )
    };
    format!(
        "import os\nfrom sys import path\n\n# number {number}\nclass Class{number}:\n    def method(self):\n        return {number}\n\n{}",
        (0..40).map(function).collect::<String>()
    )
}

pub fn c(number: usize) -> String {
    let function = |i: usize| {
        format!(
            "static int function_{number}_{i}(int a, char *b)\n{{\n\t/* {i} */\n\tif (a && b[0])\n\t\treturn a ? {i} : 0;\n\tswitch (a) {{\n\tcase 1: return 1;\n\tdefault: break;\n\t}}\n\treturn 0;\n}}\n\n"
        )
    };
    format!("#include <stdio.h>\n\nstruct thing_{number} {{ int x; }};\n\n{}", (0..40).map(function).collect::<String>())
}
