import pytest

OTHERS = [
    {"Host": "evil.example"},
    {"Host": "evil.example:80"},
    {"Host": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
]


@pytest.mark.parametrize("headers", OTHERS, ids=str)
@pytest.mark.parametrize("path", ["api/about", "api/thumbnail?id_str=g01", "static/index.html"])
def test_what_another_site_asks_for_is_refused_even_with_the_secret(client, path, headers):
    assert client.get(path, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/api/about", "/wrong/api/about", "//api/about", "/{token}", "/{token}x/api/about"]
)
def test_without_the_secret_there_is_nothing(client, path):
    answer = client.get("http://127.0.0.1" + path.format(token=client.application.state.token))
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:9", "LOCALHOST", "[::1]:80"])
def test_this_machine_is_admitted_under_all_its_names(client, host):
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert client.get("api/about", headers=headers).status_code == 200


def test_a_proxy_is_admitted_under_the_name_that_was_given(three_kinds, opened):
    client = opened(three_kinds[0], hosts=("hub.example",))
    assert client.get("api/about", headers={"Host": "hub.example"}).status_code == 200
    assert client.get("api/about", headers={"Host": "hub.example.evil"}).status_code == 403


def test_the_page_itself_may_be_opened_from_a_notebook(client):
    headers = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("", headers=headers).status_code != 403
    assert "frame-ancestors 'self'" in client.get("", headers=headers).headers["content-security-policy"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_of_another_site_can_send_is_refused(client, kind):
    assert client.post("api/select", content=b"{}", headers={"Content-Type": kind}).status_code == 415


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_get_and_post_is_answered(client, method):
    assert client.request(method, "api/about").status_code == 405


def test_every_answer_forbids_inline_scripts_leaking_the_address_and_reads_by_others(client):
    for path in ("api/about", "api/thumbnail?id_str=g01", "static/nothing.js", "api/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer" and headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("announced", [True, False])
def test_an_endless_request_body_is_not_read(client, announced):
    body = b" " * (2**20 + 1)
    content = body if announced else iter([body[:1000]] * 2000)  # chunks tell no length
    answer = client.post("api/select", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413 and "at most 1 MB" in answer.json()["error"]


@pytest.mark.parametrize(
    "name", ["..%2fserver.py", "%2e%2e%2fserver.py", "....//server.py", "..\\server.py", "__init__.py"]
)
def test_files_are_served_by_name_only(client, name):
    assert client.get(f"static/{name}").status_code == 404
