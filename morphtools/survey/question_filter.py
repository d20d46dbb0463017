"""Chooses the questions of a tree that a table should contain."""

import logging
from collections.abc import Iterable, Sequence

from morphtools.survey.campaigns import CAMPAIGNS
from morphtools.survey.schemas import Question, Schema, get_schema
from tfrecords_builder.naming import unknown

log = logging.getLogger(__name__)

_MOCK = "-mock"  # questions about simulated galaxies, used only in training
_DECALS = ("gz_decals_dr5", "gz_decals_dr8", "gz_decals_dr12", "gz_desi")
_TREES = {  # by words in the name of a survey or of its telescope, in lower case
    **dict.fromkeys(("sdss", "2.5m", "2.5-m"), ("gz2",)),
    **dict.fromkeys(("decals", "legacy", "ctio", "blanco", "decam"), _DECALS),
    "euclid": ("gz_euclid",),
    **dict.fromkeys(("hst", "hubble"), ("gz_hubble", "gz_hubble_v2", "gz_candels")),
    "jwst": ("gz_jwst_ceers", "gz_jwst_cosmos"),
    **dict.fromkeys(("ukirt", "ukidss"), ("gz_ukidss",)),
    **dict.fromkeys(("subaru", "hsc"), ("gz_cosmic_dawn",)),
}


def choose_questions(
    schema: Schema, wanted: str | Sequence[str] | None = None, surveys: Iterable[str] = ()
) -> tuple[str, ...]:
    """Names of the questions for a table, in the order of the tree.

    Args:
        schema: All questions.
        wanted: Names, separated by commas or as a list: a question (`bar-gz2`), a question without its ending (`bar`,
            of any campaign), a campaign of `list_schemas` or a YAML file with a tree, the ending of a campaign or
            catalogue (`na10`), or `all`. By default the trees of the galaxies' survey.
        surveys: Surveys or telescopes that the galaxies may be from, the most certain first. The first one with a tree
            whose questions are all in `schema` decides; if there is none, all questions except those about simulated
            galaxies are chosen.

    Raises:
        ValueError: A name matches no question.
    """
    texts = [question.text for question in schema.questions]
    if wanted is None:
        chosen = _of_survey(texts, surveys) or {text for text in texts if not text.endswith(_MOCK)} or set(texts)
        if len(chosen) < len(texts):
            log.info(
                "the readable tables have %d of %d questions; to choose others, or all, give `questions`", len(chosen),
                len(texts),
            )  # fmt: skip
    else:
        words = wanted.split(",") if isinstance(wanted, str) else wanted
        chosen = {text for word in words for text in _matching(schema.questions, word.strip())}
    return tuple(text for text in texts if text in chosen)


def _of_survey(texts: list[str], surveys: Iterable[str]) -> set[str]:
    for survey in surveys:
        names = {name for word, trees in _TREES.items() if word in survey.lower() for name in trees}
        trees = [{question.text for question in get_schema(name).questions} for name in sorted(names)]
        if chosen := set().union(*(tree for tree in trees if tree <= set(texts))):
            return chosen
    return set()


def _matching(questions: Iterable[Question], word: str) -> set[str]:
    texts = {question.text for question in questions}
    if word == "all":
        return texts
    if word in texts:
        return {word}
    if word in CAMPAIGNS or word.endswith((".yaml", ".yml")):
        matches = texts & {question.text for question in get_schema(word).questions}
        if not matches:
            raise ValueError(f"the weights know none of the questions of {word}; they know {', '.join(sorted(texts))}")
        return matches
    matches = {text for text in texts if text.rpartition("-")[0] == word and not text.endswith(_MOCK)}
    matches |= {text for text in texts if text.endswith(f"-{word}")}
    if not matches:
        raise ValueError(unknown("question", word, ["all", *sorted(texts)]))
    return matches
