"""The page is small and plain, and uses only what the server's content security policy allows."""

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "morphtools/app/static"
SCRIPTS = sorted(STATIC.glob("*.js"))
every_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)


def test_the_page_is_light():
    assert sum(len(path.read_text().splitlines()) for path in SCRIPTS) <= 800
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < 100_000
    assert all(path.is_file() for path in STATIC.iterdir())  # the server serves a flat folder


def test_nothing_in_the_page_is_inline_or_from_elsewhere():
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [""]
    for source in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert re.fullmatch(r"static/[\w.]+", source) and (STATIC / Path(source).name).is_file()
    assert not re.search(r"@import|url\(", (STATIC / "app.css").read_text())


@every_script
def test_scripts_make_no_markup_from_text_and_contact_no_other_server(path):
    text = path.read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text)
    assert not re.search(r"https?://", text)
    assert not re.search(r"""["'`]/api|["'`]/static""", text)  # proxies put prefixes in front of relative addresses


@every_script
def test_a_script_imports_what_another_exports(path):
    for names, module in re.findall(r'import \{([^}]*)\} from "./(\w+\.js)"', path.read_text()):
        exported = (STATIC / module).read_text()
        for name in names.split(","):
            assert re.search(rf"export (async )?(function|const|let) {name.strip()}\b", exported), (name, module)
