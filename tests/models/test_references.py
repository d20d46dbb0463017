import re

import pytest

from morphtools.models.cards import cite, list_pretrained
from morphtools.models.references import _PAPERS, bibtex_of


def test_every_paper_that_the_shipped_cards_cite_has_an_entry_once():
    text = cite(bibtex=True)
    keys = re.findall(r"@\w+\{(\w+),", text)
    assert "% " not in text and len(keys) == len(set(keys)) and "morphtools" in keys
    cited = {match for card in list_pretrained() for match in re.findall(r"\(([A-Za-z&]+ \d+, \w+)\)", card.citation)}
    for journal, volume, page in (re.fullmatch(r"(.+) (\d+), (\w+)", name).groups() for name in cited):
        assert re.search(rf"volume +=\s*\{{{volume}\}},\s+pages +=\s*\{{{page}\b", text), (journal, volume, page)


@pytest.mark.parametrize("key", _PAPERS)
def test_entries_are_well_formed(key):
    entry = bibtex_of([_PAPERS[key][0][0]])
    assert entry.startswith("@") and entry.count("{") == entry.count("}")
    year = re.search(r"year +=\s*\{(\d{4})\}", entry)[1]
    assert key.endswith(year) and "author" in entry and "title" in entry


def test_what_has_no_entry_is_reported():
    assert bibtex_of(["Nobody 2026 (MNRAS 1, 2)"]) == "% no entry for MNRAS 1, 2"
    assert bibtex_of(["Nobody 2026", ""]) == "% to be cited as: Nobody 2026"
