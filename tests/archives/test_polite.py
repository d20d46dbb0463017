import time
from email.utils import formatdate

import pytest

from morphtools.archives.polite import PoliteClient


def client_of(per_second=1000.0, **options):
    return PoliteClient(per_second, **{"pause": 0.01, **options})


def answers(*sequence):
    """Answers to the first, second … request; the last one to all others."""
    return lambda path, query, n: sequence[min(n, len(sequence)) - 1]


def test_temporary_failures_are_retried_until_an_answer_arrives(archive):
    archive.answer = answers((500, {}, b""), (502, {}, b""), ("cut", {}, b"x" * 1000), b"image")
    assert client_of().get(archive.url, {}, bytes) == b"image"
    assert len(archive.requests) == 4


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_no_request_is_made_before_retry_after_has_passed(archive, form):
    wait = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)  # dates have whole seconds
    archive.answer = answers((429, {"Retry-After": wait}, b""), b"image")
    assert client_of().get(archive.url, {}, bytes) == b"image"
    assert archive.times[1] - archive.times[0] >= 0.95


def test_a_service_that_asks_for_hours_is_left_alone(archive):
    archive.answer = answers((503, {"Retry-After": "7200"}, b""))
    client = client_of()
    with pytest.raises(ConnectionError, match="asks to wait 7200 s"):
        client.get(archive.url, {}, bytes)
    assert client.stopped and len(archive.requests) == 1


@pytest.mark.parametrize(("status", "reason"), [(404, "nothing at this position"), (400, "refused.*400")])
def test_permanent_failures_are_not_retried(archive, status, reason):
    archive.answer = answers((status, {}, b""))
    with pytest.raises(ValueError, match=reason):
        client_of().get(archive.url, {}, bytes)
    assert len(archive.requests) == 1


def test_a_client_gives_up_after_its_tries(archive):
    archive.answer = answers((500, {}, b""))
    with pytest.raises(ConnectionError, match="HTTP 500"):
        client_of(tries=3).get(archive.url, {}, bytes)
    assert len(archive.requests) == 3


def test_an_answer_that_drips_ends_when_its_time_is_over(archive):
    archive.answer = answers(("drip", {}, b"x" * 1000))  # 20 s
    with pytest.raises(ConnectionError, match="too slow"):
        client_of(tries=1, timeout=0.3).get(archive.url, {}, bytes)
    assert archive.dripped < 1000  # long before its end


def test_a_dead_service_and_one_that_does_not_answer_are_told_apart(archive):
    with pytest.raises(ConnectionError, match="cannot connect"):
        client_of(tries=1).get("http://127.0.0.1:9", {}, bytes)
    archive.answer = lambda path, query, n: time.sleep(1) or b""
    with pytest.raises(ConnectionError, match="timed out"):
        client_of(tries=1, timeout=0.2).get(archive.url, {}, bytes)


def test_requests_are_never_more_frequent_than_allowed(archive):
    archive.answer = answers(b"image")
    client = client_of(per_second=50)
    for i in range(10):
        client.get(archive.url, {"i": i}, bytes)
    assert archive.times[-1] - archive.times[0] >= 9 / 50 - 0.02


def test_a_request_names_the_software_and_who_to_write_to(archive):
    archive.answer = answers(b"image")
    client_of(contact="me@example.org").get(archive.url, {}, bytes)
    (agent,) = archive.agents
    assert agent.startswith("morphtools/") and "(me@example.org)" in agent
