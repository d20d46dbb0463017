"""Access control: a secret in the path, the right Host and Origin, no requests from other sites, limited uploads."""

import json
import secrets
from urllib.parse import urlsplit

BODY, UPLOAD = 2**20, 2**25  # maximum bytes of a request, and of an uploaded image

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
}


class Guard:
    """ASGI middleware around the application, which receives paths without the token.

    With every request, a browser sends the origin of the page (`Origin`, `Sec-Fetch-Site`) and the server it wants to
    reach (`Host`). Other pages cannot forge these, not even through a host name that points to this machine.

    Args:
        app: The application.
        token: The secret at the beginning of all paths.
        hosts: Names of the server, without ports.
    """

    def __init__(self, app, token: str, hosts: tuple[str, ...]):
        self.app, self.token, self.hosts = app, token, {host.lower() for host in hosts}
        named = sorted(host for host in self.hosts if not host.startswith("["))  # policies do not support IPv6
        schemes = [f"{scheme}://{host}:*" for host in named for scheme in ("http", "https")]
        ancestors = " ".join(["'self'", *schemes])
        policy = "; ".join(f"{name} {value}" for name, value in _POLICY.items())
        self._headers = {
            "content-security-policy": f"{policy}; frame-ancestors {ancestors}",
            "referrer-policy": "no-referrer",  # the path is the secret
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
        }

    async def __call__(self, scope, receive, send) -> None:
        """Passes a request to the application if it is allowed; otherwise answers with the reason."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no WebSockets
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status, reason = self._refused(scope["method"], scope["path"], headers)
        if status:
            await _answer(send, status, reason, self._headers)
            return
        prefix = f"/{self.token}"
        inner = dict(scope, path=scope["path"][len(prefix) :], root_path="")
        inner["raw_path"] = inner["path"].encode()
        most = UPLOAD if inner["path"] == "/api/uploads" else BODY
        if int(headers.get("content-length") or 0) > most:
            await _answer(send, 413, f"at most {most / 2**20:g} MB can be sent at a time", self._headers)
            return

        async def answer(message):
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in self._headers.items()]
                if b"cache-control" not in present:
                    more.append((b"cache-control", b"no-store"))
                message = message | {"headers": [*message["headers"], *more]}
            await send(message)

        await self.app(inner, _bounded(receive, most), answer)

    def _refused(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Status and reason for a request that is refused; 0 if it is allowed."""
        if _name(headers.get("host", "")) not in self.hosts:
            return 403, "this server has another name: open the address that morphtools explore printed"
        first, _, rest = path[1:].partition("/")
        if not secrets.compare_digest(first.encode(), self.token.encode()) or path.count("/") < 2:
            return 404, ""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        page = method == "GET" and rest == "" and headers.get("sec-fetch-mode", "navigate") == "navigate"
        if origin is not None and _place(origin) != headers["host"].lower():
            return 403, "a page of another site asked for this"
        if site not in ("same-origin", "none") and not page:
            return 403, "a page of another site asked for this"
        if method not in ("GET", "HEAD", "POST"):
            return 405, "only GET and POST are allowed"
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and kind != ("application/octet-stream" if rest == "api/uploads" else "application/json"):
            return 415, "a POST must be application/json, an upload application/octet-stream"
        return (0, "") if (headers.get("content-length") or "0").isdigit() else (400, "content-length is not a number")


class TooLarge(Exception):
    """A body is larger than allowed."""


def _bounded(receive, most: int):
    """The body of a request; raises `TooLarge` if it exceeds the limit."""
    seen = 0

    async def bounded():
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise TooLarge(f"at most {most / 2**20:g} MB can be sent at a time")
        return message

    return bounded


def _name(host: str) -> str:
    """`127.0.0.1` of `127.0.0.1:8000`, `[::1]` of `[::1]:8000`."""
    return host.lower().rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host.lower()


def _place(origin: str) -> str:
    """`127.0.0.1:8000` of `http://127.0.0.1:8000`."""
    return urlsplit(origin).netloc.lower()


async def _answer(send, status: int, reason: str, headers: dict[str, str]) -> None:
    body = json.dumps({"error": reason}).encode() if reason else b""
    more = [(name.encode(), value.encode()) for name, value in headers.items()]
    more += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": more})
    await send({"type": "http.response.body", "body": body})
