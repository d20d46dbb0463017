import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image


def fits_image(ra, dec, bands="grz", size=16, scale=0.262, fill=None, names=True):
    """A FITS file of a cube around a position, whose pixels follow from it."""
    pixels = np.random.default_rng(int(1e4 * (ra + dec + 90))).normal(size=(len(bands), size, size)).astype(">f4")
    if fill is not None:
        pixels[:] = fill
    hdu = fits.PrimaryHDU(pixels if len(bands) > 1 else pixels[0])
    wcs = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec}
    wcs |= {"CRPIX1": (size + 1) / 2, "CRPIX2": (size + 1) / 2, "CDELT1": -scale / 3600, "CDELT2": scale / 3600}
    hdu.header.update(wcs | ({"BANDS": bands} if names else {}))
    file = io.BytesIO()
    hdu.writeto(file)
    return file.getvalue()


def jpeg_image(ra, dec, size=16, level=None):
    pixels = np.random.default_rng(int(1e4 * (ra + dec + 90))).integers(0, 255, (size, size, 3)).astype("uint8")
    if level is not None:
        pixels[:] = level
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg")
    return file.getvalue()


class Archive:
    """A server that answers with `answer(path, query, n)`, where n counts repetitions of a request.

    An answer is the bytes, or (status, headers, bytes); with "cut" as its status the connection breaks in the middle,
    with "drip" a byte comes every 20 ms.
    """

    fits, jpeg = staticmethod(fits_image), staticmethod(jpeg_image)

    def __init__(self):
        self.answer = lambda path, query, n: (404, {}, b"")
        self.requests, self.times, self.agents, self.most_at_once = [], [], set(), 0
        self.dripped = 0  # bytes
        self._counts, self._at_once, self._lock = {}, 0, threading.Lock()
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                archive.handle(self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.handle_error = True, lambda *args: None  # callers hang up
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def handle(self, request):
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._counts[request.path] = n = self._counts.get(request.path, 0) + 1
            self.times.append(time.monotonic())
            self.requests.append((parts.path, query))
            self.agents.add(request.headers["User-Agent"])
        try:
            answer = self.answer(parts.path, query, n)
        finally:
            with self._lock:
                self._at_once -= 1
        how, headers, body = answer if isinstance(answer, tuple) else (200, {}, answer)
        request.send_response(how if isinstance(how, int) else 200)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        try:
            if how == "cut":
                request.wfile.write(body[: len(body) // 2])
                request.close_connection = True
            elif how == "drip":
                for byte in body:
                    request.wfile.write(bytes([byte]))
                    request.wfile.flush()
                    self.dripped += 1
                    time.sleep(0.02)
            else:
                request.wfile.write(body)
        except OSError:
            request.close_connection = True


@pytest.fixture
def archive(monkeypatch):
    """A local server instead of a survey's; nothing else can be reached."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Archive()
    yield made
    made.server.shutdown()
    made.server.server_close()
