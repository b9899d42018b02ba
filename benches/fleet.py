#!/usr/bin/env python3
"""Measure a fleet on loopback beside one process, both sides in turn in one run: same files, same threads, cold caches.

    cargo build --release --workspace
    benches/fleet.py --tree DIR [--rounds 3] [--port 7555]

The fleet is a master and real agents on this machine; contents travel over the link. Prints the medians of wall seconds
and of the ratios, and checks that both sides report the same.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BITACORA = ROOT / "target/release/bitacora"
AGENT = ROOT / "target/release/fleet-agent"


def until(done, seconds=20):
    begun = time.monotonic()
    while not done():
        if time.monotonic() - begun > seconds:
            sys.exit("the fleet does not come up")
        time.sleep(0.05)


def timed(data, tree, *arguments):
    begun = time.monotonic()
    output = subprocess.run([BITACORA, "--data-dir", data, "analyze", tree, "-o", "plain", *arguments], capture_output=True, check=True)
    return time.monotonic() - begun, output.stdout


def fleet(work, port, agents, cores):
    """Starts a master and agents; answers with the processes and the master's data directory."""
    data = work / "master"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen([BITACORA, "--data-dir", data, "serve", "--listen", f"127.0.0.1:{port}"], **quiet)]
    until(lambda: (data / "control").exists())
    for number in range(agents):
        token = subprocess.run([BITACORA, "--data-dir", data, "node", "token", f"n{number}"], capture_output=True, check=True).stdout
        command = [AGENT, "--data-dir", work / f"agent{number}", "--peer", f"127.0.0.1:{port}", "--cores", str(cores), "--join-file", "-"]
        agent = subprocess.Popen(command, stdin=subprocess.PIPE, **quiet)
        agent.stdin.write(token)
        agent.stdin.close()
        processes.append(agent)
    listing = lambda: subprocess.run([BITACORA, "--data-dir", data, "node", "ls", "-o", "plain"], capture_output=True).stdout
    until(lambda: listing().count(b"\thealthy\t") == agents)
    return processes, data


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=7555)
    arguments = parser.parse_args()
    print("| what | fleet | one process | ratio | bar | |\n|---|--:|--:|--:|--:|---|")
    for agents, cores in [(1, 2), (2, 1)]:
        ours, theirs = [], []
        for number in range(arguments.rounds):
            with tempfile.TemporaryDirectory() as folder:
                work = pathlib.Path(folder)
                processes, data = fleet(work, arguments.port, agents, cores)
                try:
                    wall, report = timed(data, arguments.tree)
                finally:
                    for process in processes:
                        process.terminate()
                    for process in processes:
                        process.wait()
                alone, expected = timed(work / "alone", arguments.tree, "--threads", "2")
                if report != expected:
                    sys.exit("the fleet reports something else than one process")
                ours.append(wall)
                theirs.append(alone)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        name = f"analyze, {agents} agent{'s' if agents > 1 else ''} of {cores} thread{'s' if cores > 1 else ''}"
        print(f"| {name} | {statistics.median(ours):.2f} s | {statistics.median(theirs):.2f} s | {ratio:.3f} | 1.10 | {'ok' if ratio <= 1.1 else 'MISS'} |", flush=True)


main()
