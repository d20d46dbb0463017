"""BibTeX of the papers that model cards cite.

A paper is recognised in the text of a citation by its journal, volume and page, or by its number in the arXiv.
"""

import re
from typing import Any

_PAPERS = {  # key: how citations name it; then the fields, None where there is none
    "Willett2013": (
        ("MNRAS 435, 2835", "arXiv:1308.3496"),
        "Willett, Kyle W. and Lintott, Chris J. and Bamford, Steven P. and others",
        "Galaxy Zoo 2: detailed morphological classifications for 304 122 galaxies from the Sloan Digital Sky Survey",
        ("Monthly Notices of the Royal Astronomical Society", 2013, 435, "2835--2860", "10.1093/mnras/stt1458"),
    ),
    "Hart2016": (
        ("MNRAS 461, 3663", "arXiv:1607.01019"),
        "Hart, Ross E. and Bamford, Steven P. and Willett, Kyle W. and others",
        "Galaxy Zoo: comparing the demographics of spiral arm number and a new method for correcting redshift bias",
        ("Monthly Notices of the Royal Astronomical Society", 2016, 461, "3663--3682", "10.1093/mnras/stw1588"),
    ),
    "Lintott2011": (
        ("MNRAS 410, 166", "arXiv:1007.3265"),
        "Lintott, Chris and Schawinski, Kevin and Bamford, Steven and others",
        "Galaxy Zoo 1: data release of morphological classifications for nearly 900 000 galaxies",
        (
            "Monthly Notices of the Royal Astronomical Society",
            2011,
            410,
            "166--178",
            "10.1111/j.1365-2966.2010.17432.x",
        ),
    ),
    "Baillard2011": (
        ("A&A 532, A74", "arXiv:1103.5734"),
        "Baillard, A. and Bertin, E. and de Lapparent, V. and others",
        "The EFIGI catalogue of 4458 nearby galaxies with detailed morphology",
        (r"Astronomy \& Astrophysics", 2011, 532, "A74", "10.1051/0004-6361/201016423"),
    ),
    "NairAbraham2010": (
        ("ApJS 186, 427", "arXiv:1001.2401"),
        "Nair, Preethi B. and Abraham, Roberto G.",
        "A Catalog of Detailed Visual Morphological Classifications for 14,034 Galaxies in the Sloan Digital "
        "Sky Survey",
        ("The Astrophysical Journal Supplement Series", 2010, 186, "427--456", "10.1088/0067-0049/186/2/427"),
    ),
    "Abazajian2009": (
        ("ApJS 182, 543", "arXiv:0812.0649"),
        "Abazajian, Kevork N. and Adelman-McCarthy, Jennifer K. and others",
        "The Seventh Data Release of the Sloan Digital Sky Survey",
        ("The Astrophysical Journal Supplement Series", 2009, 182, "543--558", "10.1088/0067-0049/182/2/543"),
    ),
    "Russakovsky2015": (
        ("IJCV 115, 211", "arXiv:1409.0575"),
        "Russakovsky, Olga and Deng, Jia and Su, Hao and others",
        "{ImageNet} Large Scale Visual Recognition Challenge",
        ("International Journal of Computer Vision", 2015, 115, "211--252", "10.1007/s11263-015-0816-y"),
    ),
    "TanLe2019": (
        ("arXiv:1905.11946",),
        "Tan, Mingxing and Le, Quoc V.",
        "{EfficientNet}: Rethinking Model Scaling for Convolutional Neural Networks",
        2019,
    ),
    "Howard2019": (
        ("arXiv:1905.02244",),
        "Howard, Andrew and Sandler, Mark and Chu, Grace and others",
        "Searching for {MobileNetV3}",
        2019,
    ),
    "Grill2020": (
        ("arXiv:2006.07733",),
        "Grill, Jean-Bastien and Strub, Florian and Altch{\\'e}, Florent and others",
        "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning",
        2020,
    ),
    "MohaleLochner2024": (
        ("MNRAS 530, 1274", "arXiv:2311.14157"),
        "Mohale, Koketso and Lochner, Michelle",
        "Enabling unsupervised discovery in astronomical images through self-supervised representations",
        ("Monthly Notices of the Royal Astronomical Society", 2024, 530, "1274--1295", "10.1093/mnras/stae926"),
    ),
}
_NAMED = re.compile(r"(MNRAS|A&A|ApJS?|AJ|IJCV) \d+, \w+|arXiv:\d{4}\.\d{4,5}")


def bibtex_of(citations: list[str]) -> str:
    """BibTeX entries of all papers in some citations, each once; a comment for each paper without an entry.

    Args:
        citations: Texts that name papers like `Hart et al. 2016 (MNRAS 461, 3663)`.
    """
    names = dict.fromkeys(match[0] for text in citations for match in _NAMED.finditer(text))
    keys = {name: next((key for key, paper in _PAPERS.items() if name in paper[0]), None) for name in names}
    entries = [_entry(key) for key in dict.fromkeys(keys.values()) if key]
    without = [f"% no entry for {name}" for name, key in keys.items() if key is None]
    plain = [f"% to be cited as: {text}" for text in dict.fromkeys(citations) if text and not _NAMED.search(text)]
    return "\n\n".join([*entries, *without, *plain])


def _entry(key: str) -> str:
    names, author, title, place = _PAPERS[key]
    fields: dict[str, Any] = {"author": author, "title": "{" + title + "}"}
    if isinstance(place, tuple):
        fields |= dict(zip(("journal", "year", "volume", "pages", "doi"), place, strict=True))
    else:
        fields["year"] = place
    eprint = next((name.removeprefix("arXiv:") for name in names if name.startswith("arXiv:")), None)
    if eprint:
        fields |= {"eprint": eprint, "archivePrefix": "arXiv"}
    kind = "article" if "journal" in fields else "misc"
    lines = [f"  {name:13s} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
