"""Kills `fetch_cutouts` at random moments while a local server misbehaves, and compares with an undisturbed call.

    python benchmarks/fetch_cutouts.py --galaxies 10000 --kills 50

Of the first requests for galaxies, one in ten each is answered by HTTP 500, 429 with Retry-After, HTML, and a truncated
file. The server counts requests in flight and per second; no service on the internet is involved.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
from astropy.io import fits

SIZE = 16
CALL = (
    "import sys; from morphtools.archives import fetching, polite; "
    "polite.PoliteClient.__init__.__kwdefaults__['pause'] = 0.02; "
    "fetching.fetch_cutouts(sys.argv[1], sys.argv[2], survey='legacy-dr9', size={size}, base_url=sys.argv[3], "
    "per_second={rate}, at_once={at_once})"
)


class Server:
    """A viewer of the Legacy Surveys, which may misbehave."""

    def __init__(self, bad: bool):
        header = fits.PrimaryHDU(np.zeros((3, SIZE, SIZE), np.float32)).header
        self.head, self.bad = header.tostring(padding=True).encode(), bad
        self.seen, self.at_once, self.most_at_once, self.times, self.lock = {}, 0, 0, [], threading.Lock()
        self.last, self.resumed = np.inf, threading.Event()  # requests after the last one wait
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.handle(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads, self.http.handle_error = True, lambda *args: None  # callers are killed
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def handle(self, request) -> None:
        """Answers a request, and counts it."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.times.append(time.monotonic())
            self.seen[request.path] = first = self.seen.get(request.path, 0) + 1
            waits = len(self.times) > self.last
        if waits:
            self.resumed.wait()
        number = int(hashlib.sha256(query["ra"].encode()).hexdigest()[:8], 16)
        body = np.random.default_rng(number).normal(size=3 * SIZE**2).astype(">f4").tobytes()
        body, status, wait = self.head + body.ljust(-(-len(body) // 2880) * 2880, b"\0"), 200, None
        if number % 50 == 7:  # permanent failures: outside the footprint, or not there
            status, body = (404, b"") if number % 100 == 7 else (200, self.head + bytes(2880 * 2))
        elif self.bad and first == 1:
            status, body, wait = {
                0: (500, b"", None),
                1: (429, b"", "0"),
                2: (200, b"<html>busy</html>", None),
                3: (200, body[:-2880], None),
            }.get(number // 7 % 10, (200, body, None))
        with self.lock:
            self.at_once -= 1
        try:
            request.send_response(status)
            if wait is not None:
                request.send_header("Retry-After", wait)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        except OSError:  # the caller was killed
            request.close_connection = True


def content(folder: Path) -> dict[str, str]:
    """What is in a folder: names and hashes, but for the claim, which names the address of the server."""
    files = (
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("claim.json", "cutouts.json")
    )
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--galaxies", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--per-second", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["NO_PROXY"] = "127.0.0.1"
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        table = pd.DataFrame({"id_str": [f"{i:06d}" for i in range(options.galaxies)], "ra": 0.0, "dec": 1.0})
        table["ra"] = np.arange(options.galaxies) * 350 / options.galaxies
        table.to_csv(folder / "positions.csv", index=False)
        call = CALL.format(size=SIZE, rate=options.per_second, at_once=options.at_once)
        good, bad = Server(bad=False), Server(bad=True)

        def start(out: str, server: Server) -> subprocess.Popen:
            command = [sys.executable, "-c", call, str(folder / "positions.csv"), str(folder / out), server.url]
            return subprocess.Popen(command, stderr=subprocess.DEVNULL)

        assert start("undisturbed", good).wait() == 0
        kills, began = 0, time.monotonic()
        span = options.galaxies / options.per_second / (options.kills + 1)
        while True:
            bad.last = (kills + 1) * options.galaxies // (options.kills + 1) if kills < options.kills else np.inf
            bad.resumed.clear()
            before, process = len(bad.times), start("killed", bad)
            while len(bad.times) == before and process.poll() is None:
                time.sleep(0.01)  # until it is at work
            try:
                code = process.wait(draw.uniform(0.2, 1.4) * span if kills < options.kills else None)
                assert code == 0, code
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                bad.resumed.set()
                while bad.at_once:  # it may still answer the one that was killed
                    time.sleep(0.01)
        expected, files = content(folder / "undisturbed"), content(folder / "killed")
        other = sum(expected.get(name) != files.get(name) for name in expected.keys() | files.keys())
        seconds = np.array(bad.times)
        rate = max(np.searchsorted(seconds, seconds + 1.0, side="left") - np.arange(len(seconds)))
        print(
            f"galaxies {options.galaxies}, images {sum(name.startswith('images/') for name in files)}, kills {kills}, "
            f"other files {other}, most at once {bad.most_at_once} of {options.at_once}, most in a second {rate} of "
            f"{options.per_second + options.at_once}, requests {len(seconds)}, {time.monotonic() - began:.0f} s"
        )


if __name__ == "__main__":
    main()
