"""The question trees volunteers of Galaxy Zoo walk down, as data."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Question:
    """One question, its answers, and the label columns of the answers that lead to it.

    ``asked_after`` may name several answers (any of them leads here); empty means everyone is asked.
    """

    text: str
    answers: tuple[str, ...]
    asked_after: tuple[str, ...] = ()

    @property
    def label_cols(self):
        """Vote-count columns ``question_answer``, in the order of the answers."""
        return tuple(f"{self.text}_{answer}" for answer in self.answers)


@dataclass(frozen=True)
class Schema:
    """A campaign's tree. Parents stand before their children, so one pass in order walks it down."""

    name: str
    questions: tuple[Question, ...]

    def __post_init__(self):
        seen = set()
        for question in self.questions:
            unknown = set(question.asked_after) - seen
            if unknown:
                raise ValueError(
                    f"schema {self.name!r}: {question.text!r} is asked after {sorted(unknown)}, "
                    "which no earlier question answers"
                )
            seen.update(question.label_cols)

    @property
    def label_cols(self):
        """All A vote-count columns, question by question."""
        return tuple(column for question in self.questions for column in question.label_cols)

    @property
    def membership(self):
        """Float32 matrix (Q, A): 1 where an answer belongs to a question."""
        owner = np.repeat(np.arange(len(self.questions)), [len(q.answers) for q in self.questions])
        return (np.arange(len(self.questions))[:, None] == owner).astype(np.float32)

    def asked(self, fractions):
        """Probability that a volunteer meets each question.

        Args:
            fractions: vote fractions (..., A) of every answer.

        Returns:
            (..., Q): the product of the fractions down the tree; answers leading to the same question add.
        """
        fractions = np.asarray(fractions)
        column = {name: k for k, name in enumerate(self.label_cols)}
        reached, met = {}, []
        for question in self.questions:
            parents = [reached[answer] for answer in question.asked_after]
            here = np.sum(parents, axis=0) if parents else np.ones(fractions.shape[:-1])
            met.append(here)
            reached.update({name: here * fractions[..., column[name]] for name in question.label_cols})
        return np.stack(met, axis=-1)


def _tree(name, suffix, rows):
    """A schema from (question, answers, parents), the campaign's suffix added to every question."""
    questions = []
    for text, answers, parents in rows:
        asked_after = tuple(f"{q}{suffix}_{a}" for q, a in (p.split("_") for p in parents))
        questions.append(Question(text + suffix, tuple(answers.split()), asked_after))
    return Schema(name, tuple(questions))


_FEATURED, _SMOOTH = ("smooth-or-featured_featured-or-disk",), ("smooth-or-featured_smooth",)
_FACE_ON, _SPIRAL = ("disk-edge-on_no",), ("has-spiral-arms_yes",)

# Walmsley et al. 2022 (MNRAS 509, 3966). Merging is asked of everyone who did not say artifact.
GZ_DECALS_DR5 = _tree(
    "gz_decals_dr5",
    "-dr5",
    [
        ("smooth-or-featured", "smooth featured-or-disk artifact", ()),
        ("disk-edge-on", "yes no", _FEATURED),
        ("has-spiral-arms", "yes no", _FACE_ON),
        ("bar", "strong weak no", _FACE_ON),
        ("bulge-size", "dominant large moderate small none", _FACE_ON),
        ("how-rounded", "round in-between cigar-shaped", _SMOOTH),
        ("edge-on-bulge", "boxy none rounded", ("disk-edge-on_yes",)),
        ("spiral-winding", "tight medium loose", _SPIRAL),
        ("spiral-arm-count", "1 2 3 4 more-than-4 cant-tell", _SPIRAL),
        ("merging", "none minor-disturbance major-disturbance merger", _SMOOTH + _FEATURED),
    ],
)

# Willett et al. 2013 (MNRAS 435, 2835), table 2 and figure 1.
GZ2 = _tree(
    "gz2",
    "-gz2",
    [
        ("smooth-or-featured", "smooth featured-or-disk artifact", ()),
        ("disk-edge-on", "yes no", _FEATURED),
        ("has-spiral-arms", "yes no", _FACE_ON),
        ("bar", "yes no", _FACE_ON),
        ("bulge-size", "dominant obvious just-noticeable no", _FACE_ON),
        ("something-odd", "yes no", _SMOOTH + _FEATURED),
        ("odd-feature", "ring lens disturbed irregular other merger dust-lane", ("something-odd_yes",)),
        ("how-rounded", "round in-between cigar", _SMOOTH),
        ("bulge-shape", "round boxy no-bulge", ("disk-edge-on_yes",)),
        ("spiral-winding", "tight medium loose", _SPIRAL),
        ("spiral-arm-count", "1 2 3 4 more-than-4 cant-tell", _SPIRAL),
    ],
)

# Walmsley et al. 2022 (MNRAS 513, 1581): a campaign of its own, one question for everyone.
RINGS = _tree("rings", "", [("ring", "yes no", ())])

SCHEMAS = {schema.name: schema for schema in (GZ_DECALS_DR5, GZ2, RINGS)}
