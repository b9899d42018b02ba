//! Which file an import means, by the rules of its language as far as paths tell: build files and search paths are not read.
//!
//! docs/metrics.md says the rules. Where several files would do, it is the one nearest to the importing file, then the one nearest
//! to the top; where that is no single one, none.

mod rust;

use std::collections::{HashMap, HashSet};

/// What one import may stand for at most: a Go package is all of its files.
const FILES_MAX: usize = 4096;
const HOSTS_OF_REPOSITORIES: [&str; 3] = ["github.com", "gitlab.com", "bitbucket.org"];

/// The files of a tree, to be found by what an import says.
pub(super) struct Resolver<'p> {
    /// By number, with `/`.
    paths: &'p [String],
    by_path: HashMap<&'p str, u32>,
    /// By the last part of their paths, and by the last two: some names are in every folder.
    by_name: HashMap<&'p str, Vec<u32>>,
    by_two: HashMap<&'p str, Vec<u32>>,
    /// Libraries of Rust, by the folder that holds their `src`.
    crates: HashMap<&'p str, Vec<u32>>,
    /// Go files that are no tests, by their folder.
    packages: HashMap<&'p str, Vec<u32>>,
    /// Packages' folders by the last part of their paths.
    packages_by_name: HashMap<&'p str, Vec<&'p str>>,
    /// Folders that are Python packages, so that no search path ends there.
    python_packages: HashSet<&'p str>,
}

impl<'p> Resolver<'p> {
    pub(super) fn new(paths: &'p [String]) -> Resolver<'p> {
        let (mut by_path, mut by_name) = (HashMap::new(), HashMap::<_, Vec<u32>>::new());
        let (mut by_two, mut crates) = (HashMap::<_, Vec<u32>>::new(), HashMap::<_, Vec<u32>>::new());
        let (mut packages, mut python_packages) = (HashMap::<_, Vec<u32>>::new(), HashSet::new());
        for (number, path) in (0..).zip(paths) {
            let (folder, name) = split(path);
            by_path.insert(path.as_str(), number);
            by_name.entry(name).or_default().push(number);
            by_two.entry(last_two(path)).or_default().push(number);
            if let Some(folder) = path.strip_suffix("/src/lib.rs") {
                crates.entry(split(folder).1).or_default().push(number);
            }
            if name.ends_with(".go") && !name.ends_with("_test.go") {
                packages.entry(folder).or_default().push(number);
            }
            if name == "__init__.py" {
                python_packages.insert(folder);
            }
        }
        let mut packages_by_name = HashMap::<_, Vec<&str>>::new();
        packages.keys().for_each(|folder| packages_by_name.entry(split(folder).1).or_default().push(folder));
        Resolver { paths, by_path, by_name, by_two, crates, packages, packages_by_name, python_packages }
    }

    /// The files that an import of this file means, itself aside; `None` where it means something outside of the tree, or cannot be
    /// told.
    pub(super) fn resolve(&self, from: u32, language: &str, target: &str) -> Option<Vec<u32>> {
        let mut found = match language {
            "c" | "cpp" => self.included(from, target).into_iter().collect(),
            "python" => self.python(from, target).into_iter().collect(),
            "rust" => self.rust(from, target),
            "javascript" | "typescript" | "tsx" => self.script(from, target).into_iter().collect(),
            "go" => self.go(target),
            "java" => self.of_classes(from, target, &["java"]),
            "kotlin" => self.of_classes(from, target, &["kt", "java"]),
            "scala" => expanded(target, ".", &[" as ", "=>"]).iter().flat_map(|target| self.of_classes(from, target, &["scala", "java"])).collect(),
            "php" => self.php(from, target).into_iter().collect(),
            "ruby" => self.ruby(from, target).into_iter().collect(),
            "lua" => self.lua(from, target).into_iter().collect(),
            "bash" => self.sourced(from, target).into_iter().collect(),
            _ => Vec::new(),
        };
        let is_outside = found.is_empty();
        found.retain(|file| *file != from);
        found.truncate(FILES_MAX);
        (!is_outside).then_some(found)
    }

    fn folder(&self, file: u32) -> &'p str {
        split(&self.paths[file as usize]).0
    }

    fn at(&self, path: &str) -> Option<u32> {
        self.by_path.get(path).copied()
    }

    /// The first of these that is there.
    fn first(&self, paths: impl IntoIterator<Item = String>) -> Option<u32> {
        paths.into_iter().find_map(|path| self.at(&path))
    }

    /// Files whose path ends like this, parts of it as they are.
    fn ending<'e>(&'e self, ending: &'e str) -> impl Iterator<Item = u32> + 'e {
        let named = if ending.contains('/') { self.by_two.get(last_two(ending)) } else { self.by_name.get(ending) };
        named.map_or(&[][..], Vec::as_slice).iter().copied().filter(move |file| ends(&self.paths[*file as usize], ending))
    }

    /// Of files that would do: the one with which it shares the most folders, then the one in the fewest; none where that is not one.
    fn nearest(&self, from: u32, candidates: impl Iterator<Item = u32>) -> Option<u32> {
        let home = self.folder(from);
        let mut best: Option<((usize, usize), u32, bool)> = None;
        for candidate in candidates {
            let path = &self.paths[candidate as usize];
            let shared = parts(home).zip(parts(split(path).0)).take_while(|(one, other)| one == other).count();
            let rank = (usize::MAX - shared, parts(path).count());
            match &mut best {
                Some((known, _, is_tied)) if *known == rank => *is_tied = true,
                Some((known, ..)) if *known < rank => {}
                _ => best = Some((rank, candidate, false)),
            }
        }
        best.filter(|(_, _, is_tied)| !is_tied).map(|(_, file, _)| file)
    }

    /// `"x.h"` lies beside the file, or where any other does; `<x/y.h>` where any does, and `<x.h>`, which is the system's as likely, in
    /// a folder above or one called `include`.
    fn included(&self, from: u32, target: &str) -> Option<u32> {
        let bracketed = target.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        let target = bracketed.unwrap_or(target.trim_matches('"'));
        // A `using` of C++ names no file.
        if target.contains("::") || target.is_empty() {
            return None;
        }
        let beside = if bracketed.is_none() { joined(self.folder(from), target).and_then(|path| self.at(&path)) } else { None };
        let home = self.folder(from);
        let may_be_the_systems = bracketed.is_some() && !target.contains('/');
        let is_likely = |file: &u32| {
            let folder = self.folder(*file);
            !may_be_the_systems || is_above(folder, home) || split(folder).1 == "include"
        };
        beside.or_else(|| self.nearest(from, self.ending(target).filter(is_likely)))
    }

    /// PEP 328 for leading dots. An absolute name begins in a folder that is no package itself: above the file, or, for a name of
    /// several parts, anywhere.
    fn python(&self, from: u32, target: &str) -> Option<u32> {
        let dots = target.len() - target.trim_start_matches('.').len();
        let name = target[dots..].replace('.', "/");
        if dots > 0 {
            let mut folder = self.folder(from);
            for _ in 1..dots {
                folder = parent(folder)?;
            }
            return self.first(module_files(&under(folder, &name), "py", "__init__.py"));
        }
        let home = self.folder(from);
        let candidates = [format!("{name}.py"), format!("{name}/__init__.py")];
        let of_one_part = !name.contains('/');
        let begins_well = |file: &u32, ending: &str| {
            let path = &self.paths[*file as usize];
            let root = path[..path.len() - ending.len()].trim_end_matches('/');
            !self.python_packages.contains(root) && (!of_one_part || is_above(root, home))
        };
        let found = candidates.iter().flat_map(|ending| self.ending(ending).filter(move |file| begins_well(file, ending)));
        self.nearest(from, found)
    }

    /// Node's relative specifiers, with TypeScript's rule that `./x.js` may be `./x.ts`. Packages are outside.
    fn script(&self, from: u32, target: &str) -> Option<u32> {
        const EXTENSIONS: &[&str] = &["ts", "tsx", "d.ts", "js", "jsx", "mjs", "cjs", "mts", "cts", "json"];
        if !(target.starts_with("./") || target.starts_with("../") || target == "." || target == "..") {
            return None;
        }
        let path = joined(self.folder(from), target)?;
        let with = |stem: &str| EXTENSIONS.iter().map(|extension| format!("{stem}.{extension}")).collect::<Vec<_>>();
        let compiled = ["js", "jsx", "mjs", "cjs"].iter().find_map(|extension| path.strip_suffix(&format!(".{extension}")));
        let exact = self.at(&path).or_else(|| compiled.and_then(|stem| self.first(with(stem))));
        exact.or_else(|| self.first(with(&path))).or_else(|| self.first(with(&under(&path, "index"))))
    }

    /// The package whose folder the import path ends with: the whole of it before a part. A path that begins with no host is the
    /// standard library's, or of a module whose name is its first word.
    fn go(&self, target: &str) -> Vec<u32> {
        let words: Vec<&str> = parts(target).collect();
        let Some(host) = words.first() else { return Vec::new() };
        if !host.contains('.') {
            return self.packages.get(words[1..].join("/").as_str()).filter(|_| words.len() > 1).cloned().unwrap_or_default();
        }
        // On these a module has at least three words, and the last of them is no folder.
        let module_words = if HOSTS_OF_REPOSITORIES.contains(host) { 3 } else { 2 };
        for begin in 1..words.len() {
            let ending = words[begin..].join("/");
            let is_long = words.len() - begin > 1;
            if let Some(files) = self.packages.get(ending.as_str()).filter(|_| is_long || begin >= module_words) {
                return files.clone();
            }
            let named = if is_long { self.packages_by_name.get(words[words.len() - 1]) } else { None };
            let found: Vec<&&str> = named.into_iter().flatten().filter(|folder| ends(folder, &ending)).collect();
            if let [folder] = found[..] {
                return self.packages[*folder].clone();
            }
        }
        Vec::new()
    }

    /// `a.b.C` is `a/b/C.java`, and so is `a.b.C.member`.
    fn of_classes(&self, from: u32, target: &str, extensions: &[&str]) -> Vec<u32> {
        let words: Vec<&str> = target.split('.').map(str::trim).collect();
        let shorter = (2..=words.len()).rev().take(3);
        let found = shorter.flat_map(|count| extensions.iter().map(move |extension| (count, extension)));
        found
            .map(|(count, extension)| format!("{}.{extension}", words[..count].join("/")))
            .find_map(|path| self.nearest(from, self.ending(&path)))
            .into_iter()
            .collect()
    }

    /// PSR-4: the end of a name is the end of a path. What is included by a literal path lies beside the file, or where any does.
    fn php(&self, from: u32, target: &str) -> Option<u32> {
        if let Some(path) = target.rsplit(['\'', '"']).find(|part| part.ends_with(".php")) {
            let path = path.trim_start_matches('/');
            return joined(self.folder(from), path).and_then(|path| self.at(&path)).or_else(|| self.nearest(from, self.ending(path)));
        }
        let words: Vec<&str> = target.split('\\').filter(|word| !word.is_empty()).collect();
        (0..words.len().saturating_sub(1)).find_map(|begin| self.nearest(from, self.ending(&format!("{}.php", words[begin..].join("/")))))
    }

    /// Beside the file, as `require_relative`, or in a `lib` as `require`.
    fn ruby(&self, from: u32, target: &str) -> Option<u32> {
        let name = target.strip_suffix(".rb").unwrap_or(target);
        let path = format!("{name}.rb");
        let beside = joined(self.folder(from), &path).and_then(|path| self.at(&path));
        beside.or_else(|| self.nearest(from, self.ending(&format!("lib/{path}")))).or_else(|| {
            let is_long = name.contains('/') && !name.starts_with('.');
            is_long.then(|| self.nearest(from, self.ending(&path)))?
        })
    }

    fn lua(&self, from: u32, target: &str) -> Option<u32> {
        if target.ends_with(".lua") {
            return joined(self.folder(from), target).and_then(|path| self.at(&path)).or_else(|| self.nearest(from, self.ending(target)));
        }
        let name = target.replace('.', "/");
        let (home, of_one_part) = (self.folder(from), !name.contains('/'));
        let candidates = [format!("{name}.lua"), format!("{name}/init.lua")];
        let begins_well = |file: &u32, ending: &str| {
            let path = &self.paths[*file as usize];
            !of_one_part || is_above(path[..path.len() - ending.len()].trim_end_matches('/'), home)
        };
        self.nearest(from, candidates.iter().flat_map(|ending| self.ending(ending).filter(move |file| begins_well(file, ending))))
    }

    /// Beside the script, whatever variable holds its folder; or from the top.
    fn sourced(&self, from: u32, target: &str) -> Option<u32> {
        let literal = match target.rsplit_once(['$', '`']) {
            Some((_, behind)) => {
                let end = match behind.chars().next()? {
                    '{' => behind.find('}')?,
                    '(' => behind.rfind(')')?,
                    _ => 0,
                };
                behind[end..].split_once('/')?.1
            }
            None => target,
        };
        joined(self.folder(from), literal).and_then(|path| self.at(&path)).or_else(|| self.at(literal))
    }
}

/// The folder of a path, and the last part.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn last_two(path: &str) -> &str {
    let (folder, name) = split(path);
    let above = folder.rfind('/').map_or(0, |slash| slash + 1);
    if folder.is_empty() { name } else { &path[above..] }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

fn parent(folder: &str) -> Option<&str> {
    if folder.is_empty() { None } else { Some(split(folder).0) }
}

fn under(folder: &str, rest: &str) -> String {
    if folder.is_empty() || rest.is_empty() { format!("{folder}{rest}") } else { format!("{folder}/{rest}") }
}

/// Is `folder` the same, or inside?
fn is_above(root: &str, folder: &str) -> bool {
    root.is_empty() || folder.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Does the path end with these parts?
fn ends(path: &str, ending: &str) -> bool {
    path.strip_suffix(ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// A relative path as seen from a folder; `None` where it leaves the tree.
fn joined(folder: &str, relative: &str) -> Option<String> {
    if relative.starts_with('/') {
        return None;
    }
    let mut walked: Vec<&str> = parts(folder).collect();
    for part in parts(relative) {
        match part {
            "." => {}
            ".." => drop(walked.pop()?),
            part => walked.push(part),
        }
    }
    Some(walked.join("/"))
}

/// A module's file, or that of its folder.
fn module_files(path: &str, extension: &str, of_folder: &str) -> Vec<String> {
    // The top of the tree is no file.
    let own = (!path.is_empty()).then(|| format!("{path}.{extension}"));
    own.into_iter().chain([under(path, of_folder)]).collect()
}

/// Each name of a list in braces, `a.{b, c.{d, e}}`, without what it is called instead.
fn expanded(target: &str, separator: &str, renames: &[&str]) -> Vec<String> {
    const NAMES_MAX: usize = 1024;
    let (mut names, mut prefixes, mut name) = (Vec::new(), Vec::new(), String::new());
    let end = |name: &mut String, prefixes: &[String], names: &mut Vec<String>| {
        let renamed = renames.iter().find_map(|word| name.split_once(word)).map(|(before, _)| before.to_owned());
        let bare = renamed.unwrap_or_else(|| std::mem::take(name)).trim().to_owned();
        name.clear();
        if !bare.is_empty() && names.len() < NAMES_MAX {
            names.push(prefixes.last().map_or_else(|| bare.clone(), |prefix| format!("{prefix}{bare}")));
        }
    };
    for character in target.chars() {
        match character {
            '{' => {
                let whole = format!("{}{}", prefixes.last().map_or("", String::as_str), name.trim());
                name.clear();
                prefixes.push(if whole.is_empty() || whole.ends_with(separator) { whole } else { format!("{whole}{separator}") });
            }
            ',' => end(&mut name, &prefixes, &mut names),
            '}' => {
                end(&mut name, &prefixes, &mut names);
                prefixes.pop();
            }
            other => name.push(other),
        }
    }
    end(&mut name, &prefixes, &mut names);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the import of a file means, by paths.
    fn means(tree: &[&str], from: &str, language: &str, target: &str) -> Vec<String> {
        let paths: Vec<String> = tree.iter().map(ToString::to_string).collect();
        let resolver = Resolver::new(&paths);
        let from = resolver.at(from).expect("the importing file is in the tree");
        let mut found: Vec<String> =
            resolver.resolve(from, language, target).unwrap_or_default().into_iter().map(|file| paths[file as usize].clone()).collect();
        found.sort();
        found
    }

    /// `(from, language, target, what it means)`.
    type Case<'c> = (&'c str, &'c str, &'c str, &'c [&'c str]);

    fn check(tree: &[&str], cases: &[Case<'_>]) {
        for (from, language, target, expected) in cases {
            assert_eq!(means(tree, from, language, target), *expected, "{target} in {from}");
        }
    }

    #[test]
    fn includes_lie_beside_the_file_or_at_the_nearest_place() {
        let tree = [
            "drivers/a.c",
            "drivers/a.h",
            "include/linux/b.h",
            "tools/include/linux/b.h",
            "tools/c.c",
            "x/asm/d.h",
            "y/asm/d.h",
            "x/e.c",
            "tools/nolibc/string.h",
            "tools/nolibc/x.c",
        ];
        check(
            &tree,
            &[
                ("drivers/a.c", "c", "\"a.h\"", &["drivers/a.h"]),
                ("drivers/a.c", "c", "<linux/b.h>", &["include/linux/b.h"]),
                ("tools/c.c", "c", "<linux/b.h>", &["tools/include/linux/b.h"]),
                ("tools/c.c", "c", "\"../drivers/a.h\"", &["drivers/a.h"]),
                ("x/e.c", "c", "<asm/d.h>", &["x/asm/d.h"]),
                ("tools/c.c", "c", "<asm/d.h>", &[]),
                ("drivers/a.c", "c", "<stdio.h>", &[]),
                ("drivers/a.c", "c", "<string.h>", &[]),
                ("tools/nolibc/x.c", "c", "<string.h>", &["tools/nolibc/string.h"]),
                ("drivers/a.c", "c", "\"../../a.h\"", &[]),
                ("drivers/a.c", "cpp", "std::vector", &[]),
            ],
        );
    }

    #[test]
    fn python_begins_where_no_package_is() {
        let tree =
            ["src/pkg/__init__.py", "src/pkg/a.py", "src/pkg/json.py", "src/pkg/sub/__init__.py", "src/pkg/sub/b.py", "run.py", "help.py", "other/os.py"];
        check(
            &tree,
            &[
                ("src/pkg/a.py", "python", "pkg.sub.b", &["src/pkg/sub/b.py"]),
                ("src/pkg/a.py", "python", "pkg.sub", &["src/pkg/sub/__init__.py"]),
                ("src/pkg/a.py", "python", ".sub.b", &["src/pkg/sub/b.py"]),
                ("src/pkg/sub/b.py", "python", "..a", &["src/pkg/a.py"]),
                ("src/pkg/sub/b.py", "python", "..", &["src/pkg/__init__.py"]),
                ("src/pkg/sub/b.py", "python", "....a", &[]),
                ("src/pkg/a.py", "python", "json", &[]),
                ("src/pkg/a.py", "python", "os", &[]),
                ("run.py", "python", "help", &["help.py"]),
                ("run.py", "python", "pkg", &[]),
            ],
        );
    }

    #[test]
    fn scripts_name_files_without_their_endings() {
        let tree = ["web/app.ts", "web/lib/index.js", "web/view.tsx", "web/data.json", "web/old.js"];
        check(
            &tree,
            &[
                ("web/app.ts", "typescript", "./lib", &["web/lib/index.js"]),
                ("web/app.ts", "typescript", "./view.js", &["web/view.tsx"]),
                ("web/app.ts", "typescript", "./old.js", &["web/old.js"]),
                ("web/app.ts", "typescript", "./data.json", &["web/data.json"]),
                ("web/lib/index.js", "javascript", "../app", &["web/app.ts"]),
                ("web/app.ts", "typescript", "lib", &[]),
            ],
        );
    }

    #[test]
    fn a_go_import_is_all_files_of_the_package() {
        let tree = ["main.go", "pkg/z/a.go", "pkg/z/b.go", "pkg/z/a_test.go", "fmt/x.go", "cmd/deep/tool/t.go"];
        check(
            &tree,
            &[
                ("main.go", "go", "example.com/m/pkg/z", &["pkg/z/a.go", "pkg/z/b.go"]),
                ("main.go", "go", "example.com/deep/tool", &["cmd/deep/tool/t.go"]),
                ("main.go", "go", "m/pkg/z", &["pkg/z/a.go", "pkg/z/b.go"]),
                ("main.go", "go", "example.com/none", &[]),
                ("main.go", "go", "fmt", &[]),
                ("main.go", "go", "deep/tool", &[]),
                ("main.go", "go", "github.com/other/fmt", &[]),
                ("main.go", "go", "github.com/us/it/fmt", &["fmt/x.go"]),
            ],
        );
    }

    #[test]
    fn classes_lie_where_their_names_say() {
        let tree = ["src/main/java/org/a/B.java", "src/main/java/org/a/C.java", "k/org/a/D.kt", "s/org/a/E.scala", "app/Model/User.php", "app/boot.php"];
        check(
            &tree,
            &[
                ("src/main/java/org/a/C.java", "java", "org.a.B", &["src/main/java/org/a/B.java"]),
                ("src/main/java/org/a/C.java", "java", "org.a.B.member", &["src/main/java/org/a/B.java"]),
                ("src/main/java/org/a/C.java", "java", "java.util.List", &[]),
                ("k/org/a/D.kt", "kotlin", "org.a.B", &["src/main/java/org/a/B.java"]),
                ("s/org/a/E.scala", "scala", "org.a.{B, C => X}", &["src/main/java/org/a/B.java", "src/main/java/org/a/C.java"]),
                ("app/boot.php", "php", "App\\Model\\User", &["app/Model/User.php"]),
                ("app/Model/User.php", "php", "__DIR__ . '/../boot.php'", &["app/boot.php"]),
            ],
        );
    }

    #[test]
    fn the_small_ones_look_beside_and_in_their_usual_places() {
        let tree = ["lib/a/b.rb", "bin/run.rb", "bin/help.rb", "m/x/y.lua", "m/main.lua", "m/z/init.lua", "s/run.sh", "s/lib.sh"];
        check(
            &tree,
            &[
                ("bin/run.rb", "ruby", "a/b", &["lib/a/b.rb"]),
                ("bin/run.rb", "ruby", "help", &["bin/help.rb"]),
                ("bin/run.rb", "ruby", "json", &[]),
                ("m/main.lua", "lua", "x.y", &["m/x/y.lua"]),
                ("m/main.lua", "lua", "z", &["m/z/init.lua"]),
                ("s/run.sh", "bash", "$(dirname $0)/lib.sh", &["s/lib.sh"]),
                ("s/run.sh", "bash", "${HERE}/lib.sh", &["s/lib.sh"]),
                ("s/run.sh", "bash", "$HERE/lib.sh", &["s/lib.sh"]),
                ("s/run.sh", "bash", "${BASH_SOURCE%/*}/lib.sh", &["s/lib.sh"]),
                ("s/run.sh", "bash", "${HERE", &[]),
                ("s/run.sh", "bash", "/etc/profile", &[]),
            ],
        );
    }

    #[test]
    fn what_a_file_imports_of_itself_is_not_outside() {
        let paths = ["a/__init__.py".to_owned(), "b.py".to_owned()];
        let resolver = Resolver::new(&paths);
        assert_eq!((resolver.resolve(0, "python", "."), resolver.resolve(1, "python", "os")), (Some(Vec::new()), None));
    }

    #[test]
    fn lists_in_braces_are_several_names() {
        assert_eq!(expanded("a::{b as c, d::{e, f::*}, self}", "::", &[" as "]), ["a::b", "a::d::e", "a::d::f::*", "a::self"]);
        assert_eq!(expanded("a::b", "::", &[" as "]), ["a::b"]);
        assert_eq!(expanded("{a, b}", "::", &[" as "]), ["a", "b"]);
        assert_eq!(expanded("}}{{,", "::", &[" as "]), Vec::<String>::new());
    }
}
