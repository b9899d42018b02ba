#!/usr/bin/env python3
"""Measure the dashboard on a real terminal (a PTY) against its bars, with bottom beside it in the same run.

    cargo build --release --workspace --benches
    cargo install bottom --locked                       # once; --btm names another one
    benches/terminal.py --bitacora target/release/bitacora [--seconds 20] [--btm PATH] [--frames target/release/deps/frames-…]

What is attached to is a running master: of 200 nodes that are made up (`--demo 200`, another process) and whose figures change once a
second, and a real one at rest for what must cost nothing. The process that is measured is the dashboard's alone. Wake-ups are voluntary
context switches of all its threads, CPU what the scheduler gave them, frames what it wrote between the marks of a synchronised update.
"""

import argparse
import contextlib
import fcntl
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

FRAME = b"\x1b[?2026h"
# What is left when nothing but text is: whoever has shown so much has drawn something.
ESCAPES = re.compile(rb"\x1b(\[[0-9;?<>=]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78])")
TEXT_MIN = 60
PATIENCE = 20.0
# A terminal answers these: what it is, and its background.
ANSWERS = {b"\x1b[c": b"\x1b[?62;22c", b"\x1b]11;?": b"\x1b]11;rgb:0000/0000/0000\x1b\\"}


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command, columns, rows, environment=None):
        self.master, line = pty.openpty()
        fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        surroundings = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})}
        surroundings.pop("NO_COLOR", None)
        self.lock, self.output, self.chunks = threading.Condition(), bytearray(), []
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=line, stdout=line, stderr=line, env=surroundings, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        )
        os.close(line)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                bytes_ = os.read(self.master, 65536)
            except OSError:
                return
            now = time.monotonic()
            if not bytes_:
                return
            for question, answer in ANSWERS.items():
                if question in bytes_:
                    os.write(self.master, answer)
            with self.lock:
                self.output += bytes_
                self.chunks.append((now, len(bytes_)))
                self.lock.notify_all()

    def wait(self, done):
        """Seconds since the start until the output is as wanted."""
        until = time.monotonic() + PATIENCE
        with self.lock:
            while not done(bytes(self.output)):
                if not self.lock.wait(max(0.0, until - time.monotonic())) and time.monotonic() >= until:
                    sys.exit(f"{' '.join(map(str, self.process.args))} shows nothing of what was waited for:\n{bytes(self.output)[-400:]!r}")
            return self.chunks[-1][0] - self.begun

    def first_frame(self):
        return self.wait(lambda output: len(ESCAPES.sub(b"", output).strip()) >= TEXT_MIN)

    def press(self, key):
        os.write(self.master, key)

    def key_to_paint(self, key):
        with self.lock:
            before = len(self.output)
        begun = time.monotonic()
        self.press(key)
        with self.lock:
            while FRAME not in self.output[before:]:
                if not self.lock.wait(PATIENCE):
                    sys.exit(f"{key} paints nothing")
            return self.chunks[-1][0] - begun

    def cost(self, seconds):
        """What it takes of the machine in so many seconds."""
        with self.lock:
            before = len(self.output)
        begun, used, woken = time.monotonic(), self.cpu(), self.wakeups()
        time.sleep(seconds)
        took = time.monotonic() - begun
        with self.lock:
            output = bytes(self.output[before:])
        return {
            "cpu": 100 * (self.cpu() - used) / took,
            "wakeups": (self.wakeups() - woken) / took,
            "frames": output.count(FRAME),
            "bytes": len(output) / took,
            "rss": self.rss(),
        }

    def threads(self, name):
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                yield (task / name).read_text()

    def cpu(self):
        return sum(int(text.split()[0]) for text in self.threads("schedstat")) / 1e9

    def wakeups(self):
        return sum(int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.M)[1]) for text in self.threads("status"))

    def rss(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", status)[1]) * 1024

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()
        os.close(self.master)


class Table:
    """Lines as they are measured; a bar that is missed is said at the end."""

    def __init__(self):
        self.missed = 0
        print("| what | measured | bar | |\n|---|--:|--:|---|", flush=True)

    def line(self, what, value, bar, unit, text=None):
        verdict = "" if bar is None else "ok" if value <= bar else "MISS"
        self.missed += verdict == "MISS"
        bound = "" if bar is None else f"{bar} {unit}"
        print(f"| {what} | {text or f'{value:.2f}'} {unit} | {bound} | {verdict} |", flush=True)


def until(done, what):
    begun = time.monotonic()
    while not done():
        if time.monotonic() - begun > PATIENCE:
            sys.exit(f"{what} does not come up")
        time.sleep(0.01)


class Bench:
    def __init__(self, arguments, work):
        self.arguments, self.work, self.table = arguments, work, Table()
        self.bitacora = arguments.bitacora.resolve()

    @contextlib.contextmanager
    def terminal(self, command, columns=120, rows=40, environment=None):
        terminal = Terminal(command, columns, rows, environment)
        try:
            yield terminal
        finally:
            terminal.end()

    @contextlib.contextmanager
    def demo(self, nodes):
        """The socket of a master of so many nodes that are made up."""
        folder = self.work / f"demo{nodes}"
        folder.mkdir()
        with self.terminal([self.bitacora, "--demo", nodes], 80, 24, {"TMPDIR": str(folder)}):
            sockets = lambda: list(folder.glob("*/control"))
            until(sockets, "the demo")
            yield sockets()[0]

    def attached(self, socket):
        return [self.bitacora, "--data-dir", self.work / "none", "--behind", socket]

    @contextlib.contextmanager
    def real(self):
        """The data directory of a real master at rest."""
        data = self.work / "real"
        environment = {**os.environ, "XDG_STATE_HOME": str(self.work / "state")}
        command = [self.bitacora, "--data-dir", data, "serve", "--role", "master", "--no-discovery", "--listen", "127.0.0.1:0"]
        master = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        try:
            until((data / "control").exists, "the master")
            yield data
        finally:
            master.terminate()
            master.wait()

    def nodes(self, socket):
        command = [*self.attached(socket), "node", "ls", "-o", "name"]
        return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout.split()

    def first_frames(self, command, rounds):
        taken = []
        for _ in range(rounds):
            with self.terminal(command) as terminal:
                taken.append(1000 * terminal.first_frame())
        return statistics.median(taken)

    def whole_process(self, command, rounds=15, environment=None, says=b""):
        taken = []
        for _ in range(rounds):
            begun = time.monotonic()
            output = subprocess.run([str(part) for part in command], check=True, capture_output=True, env={**os.environ, **(environment or {})}).stdout
            taken.append(1000 * (time.monotonic() - begun))
            if says not in output:
                sys.exit(f"{command} does not say {says}")
        return statistics.median(taken)

    def completed(self, data, name):
        """As bash asks: the names of nodes that begin like this."""
        words = [self.bitacora, "--data-dir", data, "node", "show", name[:1]]
        environment = {"BITACORA_COMPLETE": "bash", "_CLAP_COMPLETE_INDEX": "5", "_CLAP_COMPLETE_COMP_TYPE": "9", "_CLAP_COMPLETE_SPACE": "true"}
        return self.whole_process([self.bitacora, "--", *words], environment=environment, says=name.encode())

    def large_fleet(self):
        rounds, seconds, line = self.arguments.rounds, self.arguments.seconds, self.table.line
        with self.demo(200) as socket:
            line("first frame, 200 nodes, 120x40", self.first_frames(self.attached(socket), rounds), 100, "ms")
            with self.terminal(self.attached(socket)) as terminal:
                terminal.wait(lambda output: b"healthy" in output)
                time.sleep(2)
                cost = terminal.cost(seconds)
                line("200 nodes at 1 Hz, CPU", cost["cpu"], 0.2, "% of a core", f"{cost['cpu']:.3f}")
                line("… wake-ups", cost["wakeups"], 5, "/s")
                line("… frames", cost["frames"] / seconds, None, "/s")
                line("… RSS, attached", cost["rss"] / 1e6, 20, "MB")
                delays = []
                for _ in range(self.arguments.keys):
                    delays.append(1000 * terminal.key_to_paint(random.choice([b"j", b"k"])))
                    time.sleep(random.uniform(0.02, 0.05))
                line("key to paint, median", statistics.median(delays), None, "ms")
                line("… p95", statistics.quantiles(delays, n=20)[-1], 20, "ms")
            line("`node ls -o json` of 200 nodes, whole process", self.whole_process([*self.attached(socket), "node", "ls", "-o", "json"]), 30, "ms")
            name = self.nodes(socket)[0]
            line("names of 200 nodes completed, whole process", self.completed(socket.parent, name), 50, "ms")
        line("first frame of `--demo 200` itself", self.first_frames([self.bitacora, "--demo", 200], rounds), 100, "ms")

    def at_rest(self):
        with self.real() as data:
            dashboard = [self.bitacora, "--data-dir", data]
            self.table.line("first frame, a master at rest", self.first_frames(dashboard, self.arguments.rounds), 100, "ms")
            with self.terminal(dashboard) as terminal:
                terminal.wait(lambda output: b"live" in output)
                time.sleep(2)
                cost = terminal.cost(self.arguments.seconds)
                self.table.line("nothing changes: frames", cost["frames"], 0, "")
                self.table.line("… wake-ups", cost["wakeups"], 1, "/s")
                self.table.line("… CPU", cost["cpu"], None, "% of a core", f"{cost['cpu']:.3f}")
            self.table.line("`node ls -o json`, a real master, whole process", self.whole_process([*dashboard, "node", "ls", "-o", "json"]), 30, "ms")

    def phone(self):
        with self.demo(12) as socket, self.terminal(self.attached(socket), 45, 20) as terminal:
            terminal.wait(lambda output: b"healthy" in output)
            time.sleep(2)
            cost = terminal.cost(self.arguments.seconds)
            self.table.line("12 nodes on a phone, 45x20", cost["bytes"] / 1000, 1.5, "KB/s")

    def bottom(self):
        btm = self.arguments.btm or shutil.which("btm") or shutil.which("btm", path=str(pathlib.Path.home() / ".cargo/bin"))
        if not btm:
            return print("\nbottom is not here: `cargo install bottom --locked`, or --btm PATH", flush=True)
        self.table.line("bottom: first frame, 120x40", self.first_frames([btm], self.arguments.rounds), None, "ms")
        with self.terminal([btm]) as terminal:
            terminal.first_frame()
            time.sleep(2)
            cost = terminal.cost(self.arguments.seconds)
            self.table.line("bottom: CPU", cost["cpu"], None, "% of a core", f"{cost['cpu']:.3f}")
            self.table.line("bottom: wake-ups", cost["wakeups"], None, "/s")
            self.table.line("bottom: RSS", cost["rss"] / 1e6, None, "MB")

    def frames(self):
        """10,000 nodes in the table: the same code without a terminal."""
        built = [path for path in (self.bitacora.parent / "deps").glob("frames-*") if not path.suffix and os.access(path, os.X_OK)]
        binary = self.arguments.frames or max(built, key=lambda path: path.stat().st_mtime, default=None)
        if not binary:
            return print("\nno frames bench: `cargo bench --bench frames` measures 10,000 nodes", flush=True)
        output = subprocess.run([binary, "--bench"], check=True, capture_output=True, text=True).stdout
        for line in output.splitlines():
            what, milliseconds, bar = line.split("\t")
            self.table.line(what, float(milliseconds), float(bar), "ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bitacora", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--btm")
    parser.add_argument("--frames")
    parser.add_argument("--only", type=lambda text: text.split(","), help="fleet, rest, phone, frames, bottom")
    arguments = parser.parse_args()
    # Sockets have short paths.
    with tempfile.TemporaryDirectory(prefix="bt") as folder:
        bench = Bench(arguments, pathlib.Path(folder))
        parts = {"fleet": bench.large_fleet, "rest": bench.at_rest, "phone": bench.phone, "frames": bench.frames, "bottom": bench.bottom}
        for part in arguments.only or parts:
            parts[part]()
    sys.exit(1 if bench.table.missed else 0)


main()
