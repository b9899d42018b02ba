#!/usr/bin/env python3
"""Compare what `bitacora analyze` measures with three established tools.

    compare.py --bitacora target/release/bitacora --tree DIR
               [--language c --language python] [--what tokei,lizard,ctags]
               [--show 5] [--min tokei=0.99,lizard=0.95,ctags.python=0.99]

The population is always ours: the files that stand in `items`, and nothing else. Each peer is
run on exactly those files. A file that a peer does not report is no part of that peer's share;
such files are counted and printed on a line of their own.

tokei   the share of files whose number of code lines is the same.
lizard  the share of the functions lizard reports whose cyclomatic complexity is the same here.
        A function without a counterpart counts against us. Counterparts have the same file, last
        name component and start line; when the name is unique in the file on both sides, the
        start line may differ (counted as "moved").
ctags   the share of the functions, methods, classes, structs, interfaces, enums, traits and
        typedefs found by universal-ctags that we have under the same name on the same line.

The exit code is 1 when a share is below --min (`what=share`, or `what.language=share`, which
takes precedence), or when --min asks for something that could not be measured at all.
"""

import argparse
import collections
import contextlib
import io
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

WHAT = ("tokei", "lizard", "ctags")
BATCH = 500  # paths on one tokei command line

CTAGS_LANGUAGE = {
    "bash": "Sh",
    "c": "C",
    "c-sharp": "C#",
    "cpp": "C++",
    "go": "Go",
    "java": "Java",
    "javascript": "JavaScript",
    "kotlin": "Kotlin",
    "lua": "Lua",
    "php": "PHP",
    "python": "Python",
    "ruby": "Ruby",
    "rust": "Rust",
    "tsx": "TypeScript",
    "typescript": "TypeScript",
}

CALLABLE = {
    "function", "func", "method", "methodSpec", "singletonMethod", "constructor",
    "getter", "setter", "generator",
}
TYPE = {
    "class", "struct", "union", "interface", "trait", "enum", "typedef",
    "type", "talias", "typealias",
}
# Kinds whose name means something else, or nothing we look for, in one language.
MEMBER_IS_METHOD = {"python"}
ALIAS_IS_TYPE = {"typescript", "tsx"}

# lizard numbers the function literals of Go; every other reader, and we, leave them without a name.
ANONYMOUS = re.compile(r"^(?:|\(anonymous\)|<anonymous>|anonymous(?:__\d+)?)$")


class Report:
    """Collects the shares, prints them and compares them with the required minimum."""

    def __init__(self, show, minimum):
        self.show = show
        self.minimum = minimum
        self.met = set()
        self.failed = []

    def share(self, what, language, text, good, total):
        share = good / total if total else None
        required = self.minimum.get(f"{what}.{language}", self.minimum.get(what))
        line = f"  {what:<7} {text}: {good} of {total}"
        if share is not None:
            line += f" = {share:.4%}"
            self.met.update({what, f"{what}.{language}"})
            if required is not None:
                below = share < required
                line += f"  [{'BELOW' if below else 'at least'} {required:.2%}]"
                if below:
                    self.failed.append(f"{what}.{language}: {share:.4%} < {required:.2%}")
        print(line)

    def note(self, text):
        print(f"          {text}")

    def examples(self, title, lines):
        """Prints how many there are, and the first few."""
        if lines:
            self.note(f"{title}: {len(lines)}")
            for line in lines[: self.show]:
                print(f"            {line}")

    def verdict(self):
        for asked in self.minimum:
            if asked not in self.met:
                self.failed.append(f"{asked}: a minimum was asked for, nothing was compared")
        for failure in self.failed:
            print(f"FAILED {failure}")
        return 1 if self.failed else 0


def run(command, **options):
    """Runs a peer; its standard output, or the end of this program when it fails."""
    done = subprocess.run(command, capture_output=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{command[0]} ended with {done.returncode}: {decode(done.stderr)[-2000:]}")
    return decode(done.stdout)


def decode(data):
    return data.decode("utf-8", "replace")


def analyse(binary, tree):
    """Our report on the whole tree. Findings may make the exit code non-zero: the JSON decides."""
    with tempfile.TemporaryDirectory() as data:
        command = [binary, "--data-dir", data, "analyze", str(tree), "-o", "json"]
        done = subprocess.run(command, capture_output=True, check=False)
    try:
        report = json.loads(done.stdout)
        report["items"]
    except (ValueError, KeyError, TypeError):
        sys.exit(f"no report from {' '.join(command)} (code {done.returncode}): "
                 f"{decode(done.stderr)[-2000:]}")
    return report


def count(value):
    return len(value) if isinstance(value, (list, dict)) else value


def last_component(name):
    """`ns::Type::f` -> `f`, `outer.inner` -> `inner`, `A::operator ==` -> `operator==`."""
    operator = re.search(r"\boperator\b\W.*$", name)
    if operator:
        return re.sub(r"\s+", "", operator.group())
    name = re.split(r"::|\.|:", name)[-1].strip()
    name = re.sub(r"<.*>$", "", name) or name
    return "(anonymous)" if ANONYMOUS.match(name) else name


# tokei ------------------------------------------------------------------------------------------


def tokei_code_lines(tree, paths):
    """Code lines by path. Embedded languages (`blobs`) are no part of a file's own lines."""
    lines = {}
    with tempfile.TemporaryDirectory() as empty:
        # No configuration file of this machine may change how lines are counted.
        environment = dict(os.environ, HOME=empty, XDG_CONFIG_HOME=empty)
        for start in range(0, len(paths), BATCH):
            names = {str(tree / path): path for path in paths[start : start + BATCH]}
            command = ["tokei", "--files", "--no-ignore", "--hidden", "-o", "json", "--", *names]
            for language, entry in json.loads(run(command, cwd=empty, env=environment)).items():
                if language != "Total":
                    for file in entry["reports"]:
                        lines[names[file["name"]]] = file["stats"]["code"]
    return lines


def compare_tokei(report, language, tree, items):
    theirs = tokei_code_lines(tree, list(items))
    missing = [path for path in items if path not in theirs]
    different = []
    for path, code in theirs.items():
        ours = items[path]["lines"]["code"]
        if ours != code:
            different.append((abs(ours - code), f"{path}: tokei {code}, ours {ours}"))
    different.sort(reverse=True)
    equal = len(theirs) - len(different)
    report.share("tokei", language, "files with equal code lines", equal, len(theirs))
    ours, total = sum(items[path]["lines"]["code"] for path in theirs), sum(theirs.values())
    report.note(f"code lines in these files: tokei {total}, ours {ours}")
    report.examples("different, largest first", [text for _, text in different])
    report.examples("not reported by tokei", missing)


# lizard -----------------------------------------------------------------------------------------


def lizard_file(job):
    """One file's functions as lizard sees them, and what it had to complain about."""
    import lizard

    path, full = job
    complaint = io.StringIO()
    functions = None
    with contextlib.redirect_stderr(complaint):
        try:
            found = lizard.analyze_file(full).function_list
            functions = [(f.name, f.start_line, f.cyclomatic_complexity) for f in found]
        except Exception as error:  # any failure of the peer is its own, and is printed
            complaint.write(f"{type(error).__name__}: {error}")
    return path, functions, complaint.getvalue().strip()


def pair(theirs, ours):
    """One file's functions: each (name, line, value) of theirs with our (line, value), or None."""
    ours = [(last_component(f["name"]), f["line"], f["cyclomatic"]) for f in ours]
    theirs = [(last_component(name), line, value) for name, line, value in theirs]
    our_names = collections.Counter(name for name, _, _ in ours)
    their_names = collections.Counter(name for name, _, _ in theirs)
    same_place = collections.defaultdict(list)
    by_name = {}
    for name, line, value in ours:
        same_place[name, line].append(value)
        by_name[name] = (line, value)
    pairs, waiting = [], []
    for one in theirs:  # several functions of one name on one line: equal ones belong together
        values = same_place[one[0], one[1]]
        if one[2] in values:
            values.remove(one[2])
            pairs.append((one, (one[1], one[2])))
        else:
            waiting.append(one)
    for one in waiting:
        name, line, _ = one
        if same_place[name, line]:
            pairs.append((one, (line, same_place[name, line].pop(0))))
        elif our_names[name] == their_names[name] == 1 and name != "(anonymous)":
            pairs.append((one, by_name[name]))
        else:
            pairs.append((one, None))
    return pairs


def why_no_function(name, line, ours):
    if name == "(anonymous)":
        return "anonymous"
    if any(last_component(f["name"]) == name for f in ours):
        return "the name stands on other lines only, and is not unique"
    if any(f["line"] == line for f in ours):
        return "another name on this line"
    return "no function of this name in the file"


def compare_lizard(report, language, tree, items, jobs):
    from lizard_languages import get_reader_for

    # lizard reads an extension it does not know as C: such files are left alone.
    known = [path for path in items if get_reader_for(path)]
    if not known:
        print("  lizard  nothing to compare in this language")
        return
    functions, complaints, unreadable = {}, [], []
    with multiprocessing.Pool(jobs) as pool:
        work = [(path, str(tree / path)) for path in known]
        for path, found, complaint in pool.imap(lizard_file, work, chunksize=16):
            if found is None:
                unreadable.append(f"{path}: {complaint}")
                continue
            functions[path] = found
            if complaint:
                complaints.append(f"{path}: {complaint}")

    total = equal = moved = 0
    different, missed = collections.defaultdict(list), collections.defaultdict(list)
    ours_total = sum(len(items[path]["functions"]) for path in functions)
    for path, theirs in functions.items():
        ours = items[path]["functions"]
        for (name, line, value), counterpart in pair(theirs, ours):
            total += 1
            if counterpart is None:
                missed[why_no_function(name, line, ours)].append(f"{path}:{line} {name}")
                continue
            moved += counterpart[0] != line
            if counterpart[1] == value:
                equal += 1
            else:
                text = f"{path}:{line} {name}: lizard {value}, ours {counterpart[1]}"
                different[counterpart[1] - value].append(text)

    report.share("lizard", language, "functions with equal complexity", equal, total)
    report.note(f"files {len(functions)}; functions: lizard {total}, ours {ours_total}; "
                f"no counterpart {sum(map(len, missed.values()))}, "
                f"different {sum(map(len, different.values()))}, moved {moved}")
    for reason, lines in sorted(missed.items(), key=lambda entry: -len(entry[1])):
        report.examples(f"no counterpart, {reason}", lines)
    for by, lines in sorted(different.items(), key=lambda entry: -len(entry[1])):
        report.examples(f"ours is {by:+d}", lines)
    report.examples("lizard complained, what it did report is compared", complaints)
    report.examples("not reported by lizard", unreadable)
    report.examples("extension unknown to lizard", [p for p in items if p not in set(known)])


# ctags ------------------------------------------------------------------------------------------


def family(kind, language):
    """`callable`, `type`, or None for the kinds that are not compared."""
    if kind in CALLABLE or (kind == "member" and language in MEMBER_IS_METHOD):
        return "callable"
    if kind in TYPE or (kind == "alias" and language in ALIAS_IS_TYPE):
        return "type"
    return None


def ctags_tags(language, tree, paths, guess):
    """Yields the tags of all files, one by one: a large tree has millions of macros."""
    command = ["ctags", "--options=NONE", "--quiet", "--output-format=json", "--sort=no",
               "--fields=+nKE-P", "--extras=+f", "-f", "-"]
    if not guess:
        command.append(f"--language-force={CTAGS_LANGUAGE[language]}")
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as names:
        names.writelines(f"{path}\n" for path in paths)
        names.flush()
        command += ["-L", names.name]
        with subprocess.Popen(command, cwd=tree, stdout=subprocess.PIPE) as process:
            for line in process.stdout:
                tag = json.loads(decode(line))
                if tag.get("_type") == "tag":
                    yield tag
    if process.returncode != 0:
        sys.exit(f"ctags ended with {process.returncode}")


def why_no_symbol(tag, symbols, text):
    lines = sorted(s["line"] for s in symbols if s["name"] == tag["name"])
    if lines:
        near = min(lines, key=lambda line: abs(line - tag["line"]))
        beside = abs(near - tag["line"]) == 1
        return "the name stands one line off" if beside else "the name stands on other lines"
    if any(last_component(s["name"]) == last_component(tag["name"]) and s["line"] == tag["line"]
           for s in symbols):
        return "this line, name written differently"
    if any(s["line"] == tag["line"] for s in symbols):
        return "this line has a symbol of another name"
    if not re.search(rf"(?<!\w){re.escape(tag['name'])}(?!\w)", text):
        return "the name does not stand on the line"
    if text.lstrip().startswith("#"):
        return "preprocessor line"
    if re.match(r"\s*(?:static\s+|extern\s+)*[A-Z][A-Z0-9_]+\s*\(", text):
        return "line starts with a call in capitals (a macro?)"
    return "nothing on this line"


def compare_ctags(report, language, tree, items, guess):
    if language not in CTAGS_LANGUAGE:
        print("  ctags   nothing to compare in this language")
        return
    total = found = anonymous = 0
    per_kind = collections.defaultdict(lambda: [0, 0])
    left_out, seen = collections.Counter(), set()
    other_family, missed = [], collections.defaultdict(list)

    tags_of = collections.defaultdict(list)
    for tag in ctags_tags(language, tree, [path for path in items if "\n" not in path], guess):
        extras = tag.get("extras", "").split(",")
        if "inputFile" in extras:  # ctags has read this file
            seen.add(tag["path"])
        elif family(tag["kind"], language) is None:
            left_out[tag["kind"]] += 1
        elif tag["name"].startswith("__anon") or "anonymous" in extras:
            anonymous += 1
        else:
            tags_of[tag["path"]].append(tag)

    for path, theirs in tags_of.items():
        symbols = items[path]["symbols"]
        ours = collections.defaultdict(set)
        for symbol in symbols:
            ours[symbol["name"], symbol["line"]].add(family(symbol["kind"], language))
        text = None
        for tag in theirs:
            total += 1
            per_kind[tag["kind"]][1] += 1
            families = ours.get((tag["name"], tag["line"]))
            place = f"{path}:{tag['line']} {tag['name']} ({tag['kind']})"
            if families:
                found += 1
                per_kind[tag["kind"]][0] += 1
                if family(tag["kind"], language) not in families:
                    other_family.append(place)
                continue
            if text is None:
                text = decode((tree / path).read_bytes()).split("\n")
            line = text[tag["line"] - 1] if tag["line"] <= len(text) else ""
            missed[why_no_symbol(tag, symbols, line)].append(place)

    report.share("ctags", language, "symbols found", found, total)
    kinds = ", ".join(f"{kind} {good}/{all_}" for kind, (good, all_) in sorted(per_kind.items()))
    report.note(f"files {len(seen)}; {kinds or 'no symbols'}; anonymous, left out: {anonymous}")
    if left_out:
        report.note("kinds not compared: "
                    + ", ".join(f"{kind} {number}" for kind, number in left_out.most_common()))
    for reason, lines in sorted(missed.items(), key=lambda entry: -len(entry[1])):
        report.examples(f"missed, {reason}", lines)
    report.examples("found, but as another family of kinds", other_family)
    report.examples("not reported by ctags", [path for path in items if path not in seen])


# ------------------------------------------------------------------------------------------------


def minimum(text):
    """`tokei=0.99,ctags.c=0.97` as a mapping."""
    values = {}
    for part in filter(None, text.split(",")):
        name, sign, value = part.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            sign = ""
        if not sign or name.partition(".")[0] not in WHAT or not 0 <= values[name] <= 1:
            raise argparse.ArgumentTypeError(f"not of the form what[.language]=share: {part!r}")
    return values


def comparisons(text):
    names = text.split(",")
    if unknown := set(names) - set(WHAT):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bitacora", required=True, metavar="BIN", help="our program")
    parser.add_argument("--tree", required=True, type=Path, metavar="DIR")
    parser.add_argument("--language", action="append", help="only this one; may be repeated")
    parser.add_argument("--what", type=comparisons, default=list(WHAT), metavar="LIST",
                        help="of tokei,lizard,ctags (default: all)")
    parser.add_argument("--show", type=int, default=5, metavar="N", help="examples per reason")
    parser.add_argument("--min", type=minimum, default={}, metavar="LIST",
                        help="what[.language]=share, separated by commas")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="lizard processes")
    parser.add_argument("--peers", type=Path, metavar="DIR",
                        help="folder made by peers.sh: its bin/ and python/ come first")
    parser.add_argument("--ctags-guess", action="store_true",
                        help="let ctags choose the language (it reads .h as C++)")
    return parser.parse_args()


def main():
    options = arguments()
    tree = options.tree.resolve()
    if options.peers:
        peers = options.peers.resolve()
        os.environ["PATH"] = f"{peers / 'bin'}{os.pathsep}{os.environ['PATH']}"
        sys.path.insert(0, str(peers / "python"))

    ours = analyse(options.bitacora, tree)
    languages = collections.defaultdict(dict)
    for item in ours["items"]:
        languages[item["language"]][item["path"]] = item
    print(f"{tree}: {len(ours['items'])} files; "
          f"errors {count(ours.get('errors'))}, skipped {count(ours.get('skipped'))}")

    report = Report(options.show, options.min)
    for language in sorted(languages):
        if options.language and language not in options.language:
            continue
        items = languages[language]
        print(f"{language}: {len(items)} files")
        if "tokei" in options.what:
            compare_tokei(report, language, tree, items)
        if "lizard" in options.what:
            compare_lizard(report, language, tree, items, options.jobs)
        if "ctags" in options.what:
            compare_ctags(report, language, tree, items, options.ctags_guess)
    return report.verdict()


if __name__ == "__main__":
    sys.exit(main())
