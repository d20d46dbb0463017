"""Encoders from the Hugging Face Hub, without its package."""

import os
import re
import urllib.error
import urllib.request
from pathlib import Path

from morphtools.models.cards import sha256_of

_NAME = re.compile(r"(?:hf[-_]hub:)?([\w.-]+/[\w.-]+)(?:@([\w.-]+))?")
_CHUNK = 1 << 20  # bytes
_PATIENCE = 30  # seconds without an answer


def is_hub_name(name: str) -> bool:
    """Whether this may be a name on the Hub: `OWNER/NAME`, with `hf_hub:` before or `@REVISION` after it or not."""
    return _NAME.fullmatch(name) is not None


def fetch_encoder(name: str) -> Path:
    """Downloads an encoder, or uses an earlier download.

    It is kept beside what Keras fetches (`~/.keras`, or `KERAS_HOME`). A download that was interrupted resumes where it
    stopped. The environment variable `HF_ENDPOINT` names another server, as for the Hub's own package.

    Args:
        name: `OWNER/NAME` or `OWNER/NAME@REVISION`.

    Returns:
        Folder with `config.json`, `README.md` and the weights, as far as the Hub has them.

    Raises:
        ValueError: That is not a name.
        OSError: The Hub cannot be reached, has no such encoder, or sent something damaged.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise ValueError(f"an encoder of the Hub is called OWNER/NAME or OWNER/NAME@REVISION, not {name!r}")
    repository, revision = parts.groups()
    server = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise OSError(f"HF_ENDPOINT is not an address on the web: {server}")
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    folder = home / "morphtools" / "hub" / f"{repository.replace('/', '--')}@{revision or 'main'}"
    folder.mkdir(parents=True, exist_ok=True)
    address = f"{server}/{repository}/resolve/{revision or 'main'}"
    for file in ("README.md", "config.json"):
        _fetched(f"{address}/{file}", folder / file)
    if not _fetched(f"{address}/model.safetensors", folder / "model.safetensors"):
        if not _fetched(f"{address}/pytorch_model.bin", folder / "pytorch_model.bin"):
            raise OSError(f"{server} has no model.safetensors or pytorch_model.bin of {repository}")
    return folder


def _fetched(address: str, file: Path) -> bool:
    """Whether the server has the file, which then lies at `file`."""
    if file.exists():
        return True
    partial = file.with_name(f".partial.{file.name}")
    begun = partial.stat().st_size if partial.exists() else 0
    linked = _Linked()
    request = urllib.request.Request(address, headers={"Range": f"bytes={begun}-"} if begun else {})
    try:
        with urllib.request.build_opener(linked).open(request, timeout=_PATIENCE) as answer:
            resumed = answer.status == 206
            with partial.open("ab" if resumed else "wb") as out:
                while chunk := answer.read(_CHUNK):
                    out.write(chunk)
            expected = answer.headers.get("Content-Length")
            etag = linked.etag or answer.headers.get("X-Linked-Etag") or answer.headers.get("ETag") or ""
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the partial file is not the beginning of that file
            partial.unlink()
            return _fetched(address, file)
        if error.code in (401, 403, 404):
            return False
        raise OSError(f"cannot fetch {address}: {error}") from error
    except OSError as error:
        hint = "; the same call resumes it" if partial.exists() else ""
        raise OSError(f"cannot fetch {address}: {getattr(error, 'reason', error)}{hint}") from error
    if expected is not None and partial.stat().st_size != int(expected) + (begun if resumed else 0):
        raise OSError(f"the download of {address} was cut short: the same call resumes it")
    digest = etag.strip('"').removeprefix('W/"')
    if re.fullmatch(r"[0-9a-f]{64}", digest) and sha256_of(partial) != digest:
        partial.unlink()
        raise OSError(f"the download of {address} is damaged (its sha256 differs): try again")
    partial.replace(file)
    return True


class _Linked(urllib.request.HTTPRedirectHandler):
    """Follows redirections and keeps the sha256 that the Hub gives before it sends on to where large files lie."""

    etag = None

    def redirect_request(self, request, file, code, message, headers, address):
        """As usual, but notes the header."""
        self.etag = headers.get("X-Linked-Etag") or self.etag
        return super().redirect_request(request, file, code, message, headers, address)
