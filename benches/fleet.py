#!/usr/bin/env python3
"""Measure a fleet of real processes on loopback: a master, its agents, and what is beside them, in one run.

    cargo build --release --workspace --bins
    benches/fleet.py --tree DIR [--peers PEERS] [--rounds 3] [--only analyse,idle,seen,sparks,recovery,restart]

analyse   the same tree over the fleet and in one process, cold caches, contents over the link; both must report the same
idle      200 agents on one master, and what one agent takes
seen      from the start of an agent, and from `node rm`, to what the master says of it
sparks    sparks without work; commands beside HyperQueue's, if `pip install --target PEERS/python hyperqueue` was done
recovery  an agent is killed: until its spark runs elsewhere, and until the agent that is started again is known
restart   the master is killed with 100,000 sparks in its journal: until the first command is answered

Figures are medians of the rounds, and the largest where a bar is about the 99th percentile. Whoever asks polls, which adds up to
the time that one command takes.
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
TICKS = os.sysconf("SC_CLK_TCK")
DEADLINE_SECONDS = 60


def until(done, seconds=DEADLINE_SECONDS):
    """Seconds until `done` answers something true."""
    begun = time.monotonic()
    while not done():
        if time.monotonic() - begun > seconds:
            sys.exit(f"waited {seconds} s for nothing")
        time.sleep(0.005)
    return time.monotonic() - begun


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def row(what, ours, theirs, bar, reached):
    print(f"| {what} | {ours} | {theirs} | {bar} | {'ok' if reached else 'MISS'} |", flush=True)


class Fleet:
    """A master and its agents, ended with the block."""

    def __init__(self, programs, port):
        self.bitacora, self.agent_program, self.port = programs / "bitacora", programs / "fleet-agent", port
        self.folder = tempfile.TemporaryDirectory()
        self.work = pathlib.Path(self.folder.name)
        self.data = self.work / "master"
        self.agents = {}

    def __enter__(self):
        self.start_master()
        return self

    def __exit__(self, *_):
        for process in [*self.agents.values(), self.master]:
            process.terminate()
        for process in [*self.agents.values(), self.master]:
            process.wait()
        self.folder.cleanup()

    def start_master(self):
        command = [self.bitacora, "--data-dir", self.data, "serve", "--no-discovery", "--listen", f"127.0.0.1:{self.port}"]
        self.master = subprocess.Popen(command, **QUIET)
        until(lambda: self.run("node", "ls", check=False).returncode == 0)

    def run(self, *arguments, check=True):
        return subprocess.run([self.bitacora, "--data-dir", self.data, *arguments], capture_output=True, check=check)

    def ask(self, *arguments):
        return json.loads(self.run(*arguments, "-o", "json").stdout)["items"]

    def start_agent(self, name, *options):
        """One that has joined, or joins now."""
        command = [self.agent_program, "--data-dir", self.work / name, "--peer", f"127.0.0.1:{self.port}", *options]
        if (self.work / name).exists():
            self.agents[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, **QUIET)
            return
        token = self.run("node", "token", name).stdout
        self.agents[name] = subprocess.Popen([*command, "--join-file", "-"], stdin=subprocess.PIPE, **QUIET)
        self.agents[name].stdin.write(token)
        self.agents[name].stdin.close()

    def linked(self):
        return {node["name"] for node in self.ask("node", "ls") if node["linked"] and node["health"] == "healthy"}

    def has(self, *names):
        return lambda: set(names) <= self.linked()

    def kill_agent(self, name):
        process = self.agents.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()


def analyse(arguments):
    def timed(data, *more):
        begun = time.monotonic()
        command = [arguments.programs / "bitacora", "--data-dir", data, "analyze", arguments.tree, "-o", "plain", *more]
        output = subprocess.run(command, capture_output=True, check=True).stdout
        return time.monotonic() - begun, output

    for agents, cores in [(1, 2), (2, 1)]:
        ours, theirs = [], []
        for number in range(arguments.rounds):
            with Fleet(arguments.programs, arguments.port) as fleet:
                names = [f"n{number}" for number in range(agents)]
                for name in names:
                    fleet.start_agent(name, "--cores", str(cores))
                until(fleet.has(*names))
                sides = [lambda: timed(fleet.data), lambda: timed(fleet.work / "alone", "--threads", "2")]
                first, second = (sides if number % 2 == 0 else sides[::-1])
                (one, report), (other, expected) = first(), second()
                if report != expected:
                    sys.exit("the fleet reports something else than one process")
                wall, alone = (one, other) if number % 2 == 0 else (other, one)
                ours.append(wall)
                theirs.append(alone)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        name = f"analyze, {agents} agent{'s' if agents > 1 else ''} of {cores} thread{'s' if cores > 1 else ''} / one process of 2, wall"
        row(name, f"{statistics.median(ours):.2f} s", f"{statistics.median(theirs):.2f} s, ratio {ratio:.2f}", "1.10", ratio <= 1.1)


def idle(arguments):
    with Fleet(arguments.programs, arguments.port) as fleet:
        names = [f"n{number}" for number in range(arguments.agents)]
        for name in names:
            fleet.start_agent(name)
        until(fleet.has(*names), 300)
        time.sleep(10)
        pids = [process.pid for process in fleet.agents.values()]
        begun, master, before = time.monotonic(), cpu_seconds(fleet.master.pid), [cpu_seconds(pid) for pid in pids]
        time.sleep(30)
        elapsed = time.monotonic() - begun
        busy = (cpu_seconds(fleet.master.pid) - master) / elapsed
        size = resident_bytes(fleet.master.pid)
        row(f"master of {len(pids)} idle agents, part of a core", f"{busy:.2%}", "", "2 %", busy <= 0.02)
        row("… resident", f"{size / 1e6:.0f} MB", "", "150 MB", size <= 150e6)
        each = statistics.median((cpu_seconds(pid) - spent) / elapsed for pid, spent in zip(pids, before))
        size = statistics.median(resident_bytes(pid) for pid in pids)
        row("fleet-agent, idle, part of a core", f"{each:.2%}", "", "0.3 %", each <= 0.003)
        row("… resident", f"{size / 1e6:.1f} MB", "", "20 MB", size <= 20e6)
        size = (arguments.programs / "fleet-agent").stat().st_size
        row("… binary", f"{size / 1e6:.1f} MB", "", "40 MB", size <= 40e6)


def seen(arguments):
    visible, revoked = [], []
    with Fleet(arguments.programs, arguments.port) as fleet:
        for number in range(max(arguments.rounds, 5)):
            name = f"n{number}"
            begun = time.monotonic()
            fleet.start_agent(name)
            until(fleet.has(name))
            visible.append(time.monotonic() - begun)
            begun = time.monotonic()
            fleet.run("node", "rm", name, "--yes")
            # It ends by itself when it is told that it belongs to the fleet no more.
            until(lambda: fleet.agents[name].poll() is not None)
            revoked.append(time.monotonic() - begun)
            fleet.agents.pop(name)
    row("a new agent is seen, with its joining; largest", f"{max(visible):.2f} s", "", "2 s", max(visible) < 2)
    row("a removed agent has lost its link and ended; largest", f"{max(revoked):.2f} s", "", "2 s", max(revoked) < 2)


def sparks(arguments):
    rates, each, commands, theirs = [], [], [], []
    for _ in range(arguments.rounds):
        with Fleet(arguments.programs, arguments.port) as fleet:
            fleet.start_agent("n0", "--cores", "2", "--program", "true")
            until(fleet.has("n0"))
            fleet.run("bench", "sparks", "--count", "5000")
            measured = fleet.ask("bench", "sparks", "--count", str(arguments.sparks))[0]
            rates.append(measured["per_second"])
            each.append(measured["master_cpu_microseconds_each"])
            begun = time.monotonic()
            fleet.run("spark", "run", "--count", str(arguments.commands), "true")
            commands.append(arguments.commands / (time.monotonic() - begun))
        theirs += hyperqueue(arguments)
    rate, cost = statistics.median(rates), statistics.median(each)
    row(f"sparks without work a second ({min(rates)} to {max(rates)})", f"{rate:.0f}", "", "20,000", rate >= 20_000)
    row(f"… master CPU each ({min(each):.1f} to {max(each):.1f})", f"{cost:.1f} µs", "", "12 µs", cost <= 12)
    beside = f"{statistics.median(theirs):.0f} (HyperQueue)" if theirs else "HyperQueue not installed"
    row(f"`true` as a command a second ({min(commands):.0f} to {max(commands):.0f})", f"{statistics.median(commands):.0f}", beside, "none", True)


HYPERQUEUE = """
import sys, tempfile, time
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
count = int(sys.argv[1])
with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=2))
    client = cluster.client()
    job = Job(default_workdir=tempfile.mkdtemp())
    for _ in range(count):
        job.program(["true"], stdout=None, stderr=None)
    begun = time.monotonic()
    client.wait_for_jobs([client.submit(job)])
    print("\\nrate", count / (time.monotonic() - begun))
"""


def hyperqueue(arguments):
    """Commands a second; nothing if it is not there. Its tasks are processes: it has none without work."""
    if not arguments.peers or not (arguments.peers / "python/hyperqueue").is_dir():
        return []
    environment = {**os.environ, "PYTHONPATH": str(arguments.peers / "python")}
    output = subprocess.run([sys.executable, "-c", HYPERQUEUE, str(arguments.commands)], capture_output=True, check=True, env=environment, text=True).stdout
    return [float(line.split()[1]) for line in output.splitlines() if line.startswith("rate ")]


def recovery(arguments):
    elsewhere, known, at_once = [], [], []
    with Fleet(arguments.programs, arguments.port) as fleet:
        names = ["n0", "n1"]
        for name in names:
            fleet.start_agent(name, "--cores", "1", "--program", "sleep")
        until(fleet.has(*names))
        for _ in range(arguments.kills):
            fleet.run("spark", "run", "--detach", "sleep", "600")
            running = lambda: next((spark for spark in fleet.ask("spark", "ls") if spark["status"] == "running"), None)
            until(running)
            spark = running()
            begun = time.monotonic()
            fleet.kill_agent(spark["node"])
            moved = lambda: (now := running()) and now["node"] not in (None, spark["node"])
            until(moved)
            elsewhere.append(time.monotonic() - begun)
            fleet.run("spark", "cancel", spark["id"])
            until(lambda: not fleet.ask("spark", "ls"))
            begun = time.monotonic()
            fleet.start_agent(spark["node"], "--cores", "1", "--program", "sleep")
            until(fleet.has(spark["node"]))
            known.append(time.monotonic() - begun)
            # Before anybody has noticed that its last life is over.
            fleet.kill_agent(spark["node"])
            begun = time.monotonic()
            life = f"life={begun}"
            fleet.start_agent(spark["node"], "--cores", "1", "--program", "sleep", "--label", life)
            until(lambda: any(node["name"] == spark["node"] and node["linked"] and node["labels"].get("life") == str(begun) for node in fleet.ask("node", "ls")))
            at_once.append(time.monotonic() - begun)
    row(f"a killed agent's spark runs elsewhere, largest of {len(elsewhere)}", f"{max(elsewhere):.2f} s", "", "p99 5 s", max(elsewhere) < 5)
    row("a restarted agent is known, median", f"{statistics.median(known):.2f} s (to {max(known):.2f})", "", "0.5 s", statistics.median(known) < 0.5)
    row("the same within a second of being killed, median", f"{statistics.median(at_once):.2f} s (to {max(at_once):.2f})", "", "0.5 s", statistics.median(at_once) < 0.5)


def restart(arguments):
    spent = []
    with Fleet(arguments.programs, arguments.port) as fleet:
        fleet.start_agent("n0", "--cores", "2")
        until(fleet.has("n0"))
        # Half of them are over when the master is killed.
        for _ in range(arguments.rounds):
            bench = subprocess.Popen([fleet.bitacora, "--data-dir", fleet.data, "bench", "sparks", "--count", "100000"], **QUIET)
            time.sleep(1.5)
            fleet.master.send_signal(signal.SIGKILL)
            fleet.master.wait()
            bench.wait()
            begun = time.monotonic()
            fleet.start_master()
            spent.append(time.monotonic() - begun)
            until(lambda: all(job["status"] == "completed" for job in fleet.ask("job", "ls")), 300)
    row("a killed master, 100,000 sparks: first command answered, median", f"{statistics.median(spent):.2f} s (to {max(spent):.2f})", "", "1 s", statistics.median(spent) < 1)


SECTIONS = {"analyse": analyse, "idle": idle, "seen": seen, "sparks": sparks, "recovery": recovery, "restart": restart}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=pathlib.Path)
    parser.add_argument("--peers", type=pathlib.Path)
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "target/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--sparks", type=int, default=100_000)
    parser.add_argument("--commands", type=int, default=1_000)
    parser.add_argument("--port", type=int, default=7555)
    parser.add_argument("--only", type=lambda names: names.split(","), default=list(SECTIONS))
    arguments = parser.parse_args()
    if "analyse" in arguments.only and not arguments.tree:
        parser.error("analyse needs --tree")
    print("| what | fleet | beside it | bar | |\n|---|--:|--:|--:|---|")
    for name in arguments.only:
        SECTIONS[name](arguments)


main()
