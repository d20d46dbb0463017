"""A client that does not overload the services of archives."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

_MOST_BYTES = 2**28
_TRIES_500 = 3  # some services fail in this way outside their footprint
_LONGEST_WAIT = 900.0  # seconds; if a service asks for more, requests end


class PoliteClient:
    """Sends requests to one service: at a limited rate, and none while the service asks to wait.

    Threads share it, and each has one request at a time. After a temporary failure (no answer, HTTP 429 or 5xx, a
    damaged file) it tries again, after a pause that doubles every time or lasts as long as `Retry-After` demands. All
    threads observe the pause.

    Args:
        per_second: Maximum requests per second, including repeated ones.
        contact: How the operators of the service can reach the user, for example an e-mail address.
        tries: Number of attempts before giving up.
        pause: Seconds before the second try.
        timeout: Seconds within which an answer must be complete.
    """

    def __init__(
        self,
        per_second: float,
        contact: str | None = None,
        *,
        tries: int = 5,
        pause: float = 1.0,
        timeout: float = 120.0,
    ):
        from morphtools import __version__

        self.agent = f"morphtools/{__version__}" + (f" ({contact})" if contact else "")
        self.per_second, self.tries, self.pause, self.timeout = per_second, tries, pause, timeout
        self._lock, self._local, self._stopped = threading.Lock(), threading.local(), threading.Event()
        self._next = 0.0  # when the next request may start, by the monotonic clock

    def stop(self) -> None:
        """Ends all waiting; requests that have not begun fail."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether requests have ended."""
        return self._stopped.is_set()

    def get(self, url: str, parameters: Mapping[str, object], read: Callable[[bytes], Any]) -> Any:
        """Repeats a request until the answer is complete.

        Args:
            url: Address.
            parameters: Query parameters.
            read: Converts the answer; raises ConnectionError if it is damaged, so that it is requested again, and
                ValueError if that would not help.

        Returns:
            What `read` returns.

        Raises:
            ValueError: The service has nothing there, with the reason.
            ConnectionError: It gave no usable answer after all attempts; a later call may succeed.
        """
        for attempt in range(1, self.tries + 1):
            self._wait_for_turn()
            try:
                return read(self._answer(url, parameters))
            except ConnectionError as error:
                failed = getattr(error, "status", None) == 500 and attempt == _TRIES_500
                if attempt == self.tries or failed or self._stopped.is_set():
                    raise
                wait = getattr(error, "retry_after", None)
                if wait is None:  # so that threads that failed together do not return together
                    self._stopped.wait(self.pause * 2 ** (attempt - 1) * random.uniform(0.75, 1.25))
                elif wait > _LONGEST_WAIT:
                    self.stop()
                    raise ConnectionError(f"the service asks to wait {wait:.0f} s") from error
                else:
                    with self._lock:
                        self._next = max(self._next, time.monotonic() + wait)
        raise AssertionError("unreachable")

    def _wait_for_turn(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                now = time.monotonic()
                if now >= self._next:
                    self._next = now + 1 / self.per_second
                    return
                wait = self._next - now
            self._stopped.wait(wait)
        raise ConnectionError("stopped")

    def _answer(self, url: str, parameters: Mapping[str, object]) -> bytes:
        import requests
        from urllib3.exceptions import HTTPError

        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.headers["User-Agent"] = self.agent
        deadline = time.monotonic() + self.timeout
        times = (min(10.0, self.timeout), self.timeout)
        try:
            with self._local.session.get(url, params=parameters, timeout=times, stream=True) as response:
                check_status(response.status_code, response.headers)
                return _body(response.raw, deadline)
        except (requests.RequestException, HTTPError) as error:
            raise ConnectionError(f"no answer ({_kind(error)})") from error


def check_status(status: int, headers: Mapping[str, str]) -> None:
    """Raises ConnectionError for a temporary HTTP status, ValueError for a permanent one."""
    if status in (401, 403, 408, 425, 429) or status >= 500:
        error: Any = ConnectionError(f"the service answered HTTP {status}")
        error.status, error.retry_after = status, _seconds(headers.get("Retry-After"))
        raise error
    if status == 404:
        raise ValueError("the service has nothing at this position (HTTP 404)")
    if status != 200:
        raise ValueError(f"the service refused the request (HTTP {status})")


def _seconds(retry_after: str | None) -> float | None:
    """The header `Retry-After`, a number of seconds or a date, in seconds from now."""
    if retry_after is None:
        return None
    try:
        if retry_after.strip().isdigit():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _body(raw, deadline: float) -> bytes:
    """Reads the answer, which must be complete in time, even if a few bytes arrive every second."""
    data = bytearray()
    while chunk := raw.read1(2**16, decode_content=True):
        data += chunk
        if len(data) > _MOST_BYTES:
            raise ValueError(f"the service sent more than {_MOST_BYTES // 2**20} MB")
        if time.monotonic() > deadline:
            raise ConnectionError("no answer (too slow)")
    return bytes(data)


def _kind(error: Exception) -> str:
    """Describes a failed connection in the same few words every time."""
    name = type(error).__name__
    if "Timeout" in name:
        return "timed out"
    broke = name in ("ChunkedEncodingError", "ProtocolError", "IncompleteRead", "DecodeError")
    return "the connection broke" if broke else "cannot connect" if name == "ConnectionError" else name
