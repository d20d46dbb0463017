import hashlib
import http.server
import threading

import pytest

from morphtools.models.hub import fetch_encoder, is_hub_name

WEIGHTS = bytes(range(256)) * 5000


class Hub(http.server.BaseHTTPRequestHandler):
    """The Hub as far as it is used: redirects large files, gives their sha256 before, and takes ranges."""

    files, asked, digest, cut = {}, [], None, None

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("Range")))
        name = self.path.split("/")[-1]
        if name not in self.files:
            self.send_error(404)
        elif name != "config.json" and "/cdn/" not in self.path:
            self.send_response(302)
            self.send_header("X-Linked-Etag", f'"{self.digest}"')
            self.send_header("Location", f"/cdn/{name}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            body = self.files[name][begin:]
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: self.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    Hub.files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    Hub.asked, Hub.digest, Hub.cut = [], hashlib.sha256(WEIGHTS).hexdigest(), None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    yield Hub
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["a/b", "hf_hub:a/b", "hf-hub:mwalmsley/zoobot-encoder-convnext_nano", "a/b@v1.0"])
def test_names_on_the_hub_have_an_owner(name):
    assert is_hub_name(name)


@pytest.mark.parametrize("name", ["a", "a/b/c", "/a/b", "a/../b", "./a b", "a/b@../x"])
def test_other_names_are_not_on_the_hub(name):
    assert not is_hub_name(name)


def test_an_encoder_is_fetched_once(hub):
    folder = fetch_encoder("someone/encoder")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == hub.files
    assert hub.asked[0][0] == "/someone/encoder/resolve/main/README.md"
    hub.asked.clear()
    assert fetch_encoder("hf_hub:someone/encoder") == folder
    assert not [path for path, _ in hub.asked if "safetensors" in path]


def test_another_revision_is_another_folder(hub):
    assert fetch_encoder("someone/encoder@v2") != fetch_encoder("someone/encoder")
    assert "/someone/encoder/resolve/v2/config.json" in [path for path, _ in hub.asked]


def test_a_download_that_was_cut_short_resumes_where_it_stopped(hub):
    hub.cut = 1000
    with pytest.raises(OSError, match="cut short: the same call resumes it"):
        fetch_encoder("someone/encoder")
    hub.cut = None
    folder = fetch_encoder("someone/encoder")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert ("/cdn/model.safetensors", "bytes=1000-") in hub.asked


def test_what_has_another_sha256_is_refused_and_thrown_away(hub):
    hub.digest = "0" * 64
    with pytest.raises(OSError, match=r"is damaged \(its sha256 differs\): try again"):
        fetch_encoder("someone/encoder")
    hub.digest = hashlib.sha256(WEIGHTS).hexdigest()
    assert (fetch_encoder("someone/encoder") / "model.safetensors").read_bytes() == WEIGHTS


def test_older_encoders_have_pickles(hub):
    hub.files["pytorch_model.bin"] = hub.files.pop("model.safetensors")
    assert (fetch_encoder("someone/encoder") / "pytorch_model.bin").read_bytes() == WEIGHTS


def test_what_is_not_there_or_cannot_be_reached_ends_in_one_sentence(hub, monkeypatch):
    hub.files.clear()
    with pytest.raises(OSError, match=r"has no model\.safetensors or pytorch_model\.bin of someone/nothing"):
        fetch_encoder("someone/nothing")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OSError, match="cannot fetch http"):
        fetch_encoder("someone/other")
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(OSError, match="not an address on the web"):
        fetch_encoder("someone/other")
