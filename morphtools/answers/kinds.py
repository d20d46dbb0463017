"""Which answer a model card, or a table of predictions, describes."""

import json
from collections.abc import Mapping

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.redshifts import metadata
from morphtools.answers.several import Several
from morphtools.answers.votes import Votes
from morphtools.survey.schemas import Schema
from tfrecords_builder.naming import unknown

Answer = Classes | Several | Fractions | Numbers | Photoz  # what `finetune` asks
AnyAnswer = Answer | Votes
KINDS: dict[str, type] = {kind.kind: kind for kind in (Votes, Classes, Several, Photoz, Fractions, Numbers)}
_NEEDED = {"votes": "schema", "classes": "classes", "redshifts": "redshifts"}


def read_answer(
    kind: str, *, schema=None, classes=None, redshifts=None, answer: Mapping | None = None
) -> AnyAnswer | None:
    """The answer that the fields of a card describe; None for an encoder.

    Args:
        kind: One of `KINDS`, or `encoder`.
        schema: Of votes, as `Schema.to_dict` gives it.
        classes: Names of classes.
        redshifts: `bins`, `range`, `pdf` and `estimate`.
        answer: For fractions, the names of the `answers`; for numbers, `columns`, `centre` and `scale`; for several
            questions, the classes of each by its name.

    Raises:
        ValueError: There is no such kind, or it lacks something.
    """
    if kind == "encoder":
        return None
    if kind not in KINDS:
        raise ValueError(unknown("kind", kind, [*KINDS, "encoder"]))
    needed = _NEEDED.get(kind, "answer")
    given = {"schema": schema, "classes": classes, "redshifts": redshifts, "answer": answer}[needed]
    if not given:
        raise ValueError(f"a card of kind {kind!r} needs {needed!r}")
    if kind == "votes":
        return Votes(Schema.from_dict(given))
    if kind == "classes":
        return Classes(tuple(given))
    try:
        if kind == "redshifts":
            return Photoz(given["bins"], given["range"], given["pdf"], given["estimate"])
        if kind == "several":
            classes = given["questions"].values()
            return Several(tuple(given["questions"]), tuple(Classes(tuple(names)) for names in classes))
        return KINDS[kind](**{name: tuple(values) for name, values in given.items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{needed!r} of a card of kind {kind!r} cannot be {given!r} ({error})") from None


def answer_metadata(answer: AnyAnswer, provenance: Mapping[str, str]) -> dict[str, str]:
    """What was predicted, for the metadata of a parquet file; `answer_of` reads it, and of PDFs `Redshifts.open`."""
    pdfs = metadata(answer.edges, answer.estimate, dict(provenance)) if isinstance(answer, Photoz) else {}
    return pdfs | {"morphtools": json.dumps({"answer": answer.described(), "provenance": dict(provenance)})}


def answer_of(metadata: Mapping[bytes, bytes] | None) -> tuple[AnyAnswer, dict[str, str]]:
    """The question that the predictions in a parquet file answer, and their provenance, from its metadata.

    Raises:
        ValueError: The metadata do not tell.
    """
    try:
        about = json.loads((metadata or {})[b"morphtools"])
        answer = read_answer(**about["answer"])
        provenance = {str(name): str(value) for name, value in about["provenance"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"the metadata do not tell what was predicted ({error})") from None
    if answer is None:
        raise ValueError("the metadata do not tell what was predicted")
    return answer, provenance
