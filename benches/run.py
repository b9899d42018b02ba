#!/usr/bin/env python3
"""Measure bitacora beside its peers, both sides in turn in one run, and print a table of ratios.

    benches/peers.sh PEERS TREES          # once: installs the peers and fetches real trees
    cargo build --release --workspace --bins --benches
    benches/run.py --peers PEERS --trees TREES [--rounds 5] [--only engine,whole,...]

Every figure is the median of the rounds; a ratio is the median of the ratios of the rounds, in which the two sides ran
one after the other. CPU seconds are user and system time of the process and its children.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BITACORA = ROOT / "target/release/bitacora"
LANGUAGES = {
    "c": (".c", ".h"),
    "go": (".go",),
    "python": (".py",),
    "typescript": (".ts",),
    "rust": (".rs",),
    "java": (".java",),
}
# What one language's sample holds, and the tree of the second run.
SAMPLE_BYTES = 20_000_000
TREE_FILES, TREE_BYTES = 5_000, 100_000_000
FILE_BYTES_MAX = 5 << 20


def engine_binary():
    built = [p for p in (ROOT / "target/release/deps").glob("engine-*") if not p.suffix and os.access(p, os.X_OK)]
    if not built:
        sys.exit("no engine bench; run `cargo build --release --workspace --bins --benches`")
    return max(built, key=lambda p: p.stat().st_mtime)


def run(command, stdin=None, environment=None):
    """Wall and CPU seconds and peak resident bytes of a command that must succeed; None where it is partial."""
    begun = time.monotonic()
    process = subprocess.Popen([str(c) for c in command], stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        sys.exit(f"{command} ended with {process.returncode}")
    return {"wall": time.monotonic() - begun, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss * 1024}


def files_of(tree, suffixes):
    found = []
    for folder, _, names in os.walk(tree):
        for name in names:
            path = Path(folder) / name
            if name.endswith(suffixes) and not path.is_symlink() and 0 < path.stat().st_size < FILE_BYTES_MAX:
                found.append(path)
    return sorted(found)


def sample(tree, suffixes, limit):
    files = files_of(tree, suffixes)
    random.Random(1).shuffle(files)
    chosen, size = [], 0
    for path in files:
        if size > limit:
            break
        chosen.append(path)
        size += path.stat().st_size
    return chosen


def copy_sample(files, into):
    """A tree of its own with the files' contents, settled in the past so that nothing in it is racy."""
    past = time.time() - 3600
    for number, path in enumerate(files):
        target = into / f"d{number % 200}" / f"{number}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        os.utime(target, (past, past))


def analysed(tree, work):
    """What of a tree is analysed and not skipped: both sides get the same files."""
    done = subprocess.run([BITACORA, "--data-dir", work / "data-names", "analyze", tree, "-o", "name"], capture_output=True, check=True, text=True)
    return done.stdout.splitlines()


def engine(binary, mode, threads, listing):
    with open(listing) as stdin:
        return json.loads(subprocess.run([binary, mode, str(threads)], stdin=stdin, capture_output=True, check=True, text=True).stdout)


def ratio(name, ours, theirs, bar, unit="ratio"):
    value = statistics.median(a / b for a, b in zip(ours, theirs))
    verdict = "ok" if value <= bar else "MISS"
    print(f"| {name} | {statistics.median(ours):.3f} | {statistics.median(theirs):.3f} | {value:.3f} | {bar} | {verdict} |", flush=True)
    return value


def bench_engine(arguments, work):
    binary = engine_binary()
    for language, suffixes in LANGUAGES.items():
        tree = work / f"tree-{language}"
        copy_sample(sample(arguments.trees / language, suffixes, SAMPLE_BYTES), tree)
        listing = work / f"{language}.list"
        listing.write_text("".join(f"{language}\t{tree / name}\n" for name in analysed(tree, work)))
        bare, alone, whole = [], [], []
        for number in range(arguments.rounds):
            bare.append(engine(binary, "bare", 1, listing)["cpu"])
            alone.append(engine(binary, "engine", 1, listing)["cpu"])
            data = work / f"data-{language}-{number}"
            whole.append(run([BITACORA, "--data-dir", data, "analyze", tree, "-o", "json", "--threads", "1"])["cpu"])
            shutil.rmtree(data)
        ratio(f"engine CPU / bare parse, {language}", alone, bare, 1.25)
        ratio(f"analyze -o json CPU / bare parse, {language}", whole, bare, 1.45)


def bench_path(arguments, work):
    """The whole path against the engine called directly, and two threads against one."""
    binary = engine_binary()
    files = sample(arguments.trees / "c", LANGUAGES["c"], TREE_BYTES)
    tree = work / "tree-path"
    copy_sample(files, tree)
    listing = work / "path.list"
    listing.write_text("".join(f"c\t{path}\n" for path in files_of(tree, LANGUAGES["c"])))

    def whole_path(threads):
        data = work / "data-path"
        wall = run([BITACORA, "--data-dir", data, "analyze", tree, "-o", "table", "--threads", threads])["wall"]
        shutil.rmtree(data)
        return wall

    direct, whole, one, two = [], [], [], []
    for number in range(2 * arguments.rounds):
        # Whoever runs second finds another machine: by turns.
        sides = [lambda: direct.append(engine(binary, "engine", 2, listing)["wall"]), lambda: whole.append(whole_path(2))]
        for side in sides if number % 2 else reversed(sides):
            side()
    for _ in range(arguments.rounds):
        one.append(whole_path(1))
        two.append(whole_path(2))
    ratio("whole path wall / engine directly, 2 threads", whole, direct, 1.10)
    ratio("2 threads wall / 1 thread (1.8 times is 0.556)", two, one, 1 / 1.8)


def bench_again(arguments, work):
    """A second run on an unchanged tree of 5,000 files and 100 MB."""
    files = [path for path in files_of(arguments.trees / "c", LANGUAGES["c"]) if 5_000 < path.stat().st_size < 100_000]
    random.Random(2).shuffle(files)
    tree, data = work / "tree-again", work / "data-again"
    mean = TREE_BYTES / TREE_FILES
    files.sort(key=lambda path: abs(path.stat().st_size - mean))
    copy_sample(files[:TREE_FILES], tree)
    command = [BITACORA, "--data-dir", data, "analyze", tree, "-o", "table"]
    run(command)
    ours, ctags, walk = [], [], []
    for _ in range(arguments.rounds):
        ours.append(run(command)["wall"])
        ctags.append(run(["ctags", "--options=NONE", "-R", "-f", "-", tree])["wall"])
        walk.append(run(["find", tree, "-type", "f", "-printf", "%s %T@ %C@ %i\\n"])["wall"])
    ratio("second run wall / universal-ctags", ours, ctags, 1.0)
    ratio("second run wall / find with stat", ours, walk, 3.0)


def bench_linux(arguments, work):
    trees = sorted((arguments.trees / "c").glob("linux-source-*"))
    if not trees:
        sys.exit("no linux-source tree")
    tree, data = trees[-1], work / "data-linux"
    command = [BITACORA, "--data-dir", data, "analyze", tree, "-o", "table"]
    first = run(command)
    print(f"| whole linux-source, first run | {first['wall']:.1f} s | {first['cpu']:.1f} CPU s | peak RSS {first['rss'] / 2**20:.0f} MB | 512 MB | {'ok' if first['rss'] <= 512 * 2**20 else 'MISS'} |", flush=True)
    time.sleep(3)
    run(command)
    again = statistics.median(run(command)["wall"] for _ in range(arguments.rounds))
    print(f"| whole linux-source, second run | {again:.2f} s | | | 5 s | {'ok' if again < 5 else 'MISS'} |", flush=True)
    queries = ["read", "ext4_", "ext4_readdir", "mutex_lock", "alloc", "kmalloc", "sched", "init", "tcp_v4", "page", "probe", "extrdir", "mtxlock", "schdentity", "nvme_q", "inode", "xyzzyq", "EXPORT", "amdgpu_dm", "u"]
    walls = sorted(run_query(data, query) for query in queries for _ in range(arguments.rounds))
    p95 = walls[int(len(walls) * 0.95) - 1]
    print(f"| symbol query on it, {len(walls)} queries | p50 {statistics.median(walls) * 1e3:.0f} ms | p95 {p95 * 1e3:.0f} ms | | 100 ms | {'ok' if p95 < 0.1 else 'MISS'} |", flush=True)


def run_query(data, query):
    begun = time.monotonic()
    subprocess.run([BITACORA, "--data-dir", data, "symbols", query, "-o", "plain"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.monotonic() - begun


def bench_rules(arguments, work):
    """For orientation: what peers take for their part of the work on the same C files."""
    tree = work / "tree-path"
    if not tree.exists():
        copy_sample(sample(arguments.trees / "c", LANGUAGES["c"], TREE_BYTES), tree)
    rules = [("universal-ctags", ["ctags", "--options=NONE", "-R", "-f", "-", tree]), ("tokei", ["tokei", tree]), ("ast-grep, 1 rule", ["ast-grep", "run", "-l", "c", "-p", "if ($A) return $B;", "--json=stream", tree])]
    for name, command in rules:
        if shutil.which(command[0]):
            taken = [run(command) for _ in range(arguments.rounds)]
            print(f"| {name} on 100 MB of C | {statistics.median(t['wall'] for t in taken):.2f} s | {statistics.median(t['cpu'] for t in taken):.2f} CPU s | | | |", flush=True)


BENCHES = {"engine": bench_engine, "path": bench_path, "again": bench_again, "linux": bench_linux, "peers": bench_rules}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=Path, required=True)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(BENCHES))
    arguments = parser.parse_args()
    if arguments.peers:
        os.environ["PATH"] = f"{arguments.peers / 'bin'}:{os.environ['PATH']}"
    print("| what | ours | theirs | ratio | bar | |\n|---|--:|--:|--:|--:|---|")
    with tempfile.TemporaryDirectory() as work:
        for name in arguments.only.split(","):
            BENCHES[name](arguments, Path(work))


if __name__ == "__main__":
    main()
