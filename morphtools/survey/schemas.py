"""Question trees for volunteers: those of Galaxy Zoo, your own, and several at once.

A tree of your own is a YAML file::

    name: my-survey
    questions:
      - question: smooth-or-featured
        answers: [smooth, featured, artifact]
      - question: bar
        answers: [yes, no]
        asked_after: [smooth-or-featured_featured]

`asked_after` lists answers as `question_answer`; any of them leads to the question. Without it, everyone is asked.
Votes are in columns `question_answer`: `bar_yes`.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from morphtools.survey.campaigns import CAMPAIGNS
from tfrecords_builder.naming import check_known, unknown
from tfrecords_builder.yaml_files import read_yaml

COMPAT = ("ours", "published")


@dataclass(frozen=True)
class Question:
    """One question, its answers, and the label columns of the answers that lead to it.

    `asked_after` may name several answers (any of them leads here); empty means everyone is asked.
    """

    text: str
    answers: tuple[str, ...]
    asked_after: tuple[str, ...] = ()

    @property
    def label_cols(self):
        """Vote-count columns `question_answer`, in the order of the answers."""
        return tuple(f"{self.text}_{answer}" for answer in self.answers)


@dataclass(frozen=True)
class Schema:
    """Questions as a tree. Parents come before their children, so that one pass in order traverses it.

    Attributes:
        name: Of the campaign.
        questions: `Question`s, each with its answers and the answers that lead to it.
    """

    name: str
    questions: tuple[Question, ...]

    def __post_init__(self):
        _refuse(self.name, _faults(self.questions))

    @property
    def label_cols(self):
        """All A vote-count columns, question by question."""
        return tuple(column for question in self.questions for column in question.label_cols)

    @property
    def membership(self):
        """Float32 matrix (Q, A): 1 if an answer belongs to a question."""
        owner = np.repeat(np.arange(len(self.questions)), [len(q.answers) for q in self.questions])
        return (np.arange(len(self.questions))[:, None] == owner).astype(np.float32)

    def asked(self, fractions):
        """Probability that a volunteer meets each question.

        Args:
            fractions: Vote fractions (..., A) of every answer.

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

    def to_dict(self):
        """The tree as plain dicts, lists and strings, for JSON and YAML."""
        questions = []
        for question in self.questions:
            parents = {"asked_after": list(question.asked_after)} if question.asked_after else {}
            questions.append({"question": question.text, "answers": list(question.answers)} | parents)
        return {"name": self.name, "questions": questions}

    @classmethod
    def from_dict(cls, tree):
        """The schema that `to_dict` or a YAML file describes.

        Args:
            tree: `name` and `questions`, as at the top of this module.

        Raises:
            ValueError: It is not a valid schema; all faults are listed.
        """
        if not isinstance(tree, Mapping):
            raise ValueError("a schema is a mapping with 'name' and 'questions'; see morphtools.survey.schemas")
        faults = [unknown("key", key, ("name", "questions")) for key in tree if key not in ("name", "questions")]
        name, entries = tree.get("name"), tree.get("questions")
        if not (isinstance(name, str) and name):
            faults.append("it has no name")
        if not isinstance(entries, list):
            faults.append("'questions' is not a list")
            entries = []
        questions = []
        for number, entry in enumerate(entries, start=1):
            question, wrong = _read_question(entry)
            questions += [question] if question else []
            faults += [f"question {number}: {fault}" for fault in wrong]
        _refuse(name, faults + _faults(questions))
        return cls(name, tuple(questions))

    def __str__(self):
        """The tree as text: every question below the answer that leads to it."""
        owner = {name: q.text for q in self.questions for name in q.label_cols}
        lines = []

        def draw(question, lead, indent):
            lines.append(f"{lead}{question.text}: {' | '.join(question.answers)}")
            below = [q for q in self.questions if q.asked_after and owner[q.asked_after[0]] == question.text]
            for child in below:
                last = child is below[-1]
                after = [name.removeprefix(f"{question.text}_") for name in child.asked_after]
                branch = f"{indent}{'└' if last else '├'}─ {' or '.join(after)} → "
                draw(child, branch, indent + ("   " if last else "│  "))

        for root in self.questions:
            if not root.asked_after:
                draw(root, "", "")
        return "\n".join(lines)


def _refuse(name, faults):
    if faults:
        raise ValueError(f"schema {name!r}: {'; '.join(faults)}")


def _faults(questions):
    """Everything that is wrong with a list of questions."""
    faults, seen, ahead = [], [], {name for q in questions for name in q.label_cols}
    for k, question in enumerate(questions):
        text, answers = question.text, question.answers
        if text in {q.text for q in questions[:k]}:
            faults.append(f"{text!r} is asked twice")
        elif set(question.label_cols) & set(seen):
            faults.append(f"columns of {text!r} are also those of another question")
        if len(answers) < 2:
            faults.append(f"{text!r} needs at least two answers")
        faults += [f"{text!r} has the answer {a!r} twice" for a in sorted(set(answers)) if answers.count(a) > 1]
        for parent in question.asked_after:
            if parent in ahead and parent not in seen:
                faults.append(f"{text!r} is asked after {parent!r}, whose question must come before it")
            elif parent not in seen:
                near = difflib.get_close_matches(parent, seen, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                faults.append(f"{text!r} is asked after {parent!r}, which is not an answer to any question{hint}")
        seen += question.label_cols
    return faults if len(questions) else [*faults, "there are no questions"]


def _read_question(entry):
    """A Question (or None) from a dict, and what is wrong with it."""
    keys = ("question", "answers", "asked_after")
    if not isinstance(entry, Mapping):
        return None, [f"must be a mapping with {', '.join(keys)}"]
    faults = [unknown("key", key, keys) for key in entry if key not in keys]
    text, answers, parents = entry.get("question"), entry.get("answers"), entry.get("asked_after", [])
    parents = [parents] if isinstance(parents, str) else parents
    if not (isinstance(text, str) and text):
        faults.append("'question' must be its text")
    for key, words in (("answers", answers), ("asked_after", parents)):
        if not (isinstance(words, list) and all(isinstance(word, str) and word for word in words)):
            faults.append(f"{key!r} must be a list of words, got {words!r}")
    return (None if faults else Question(text, tuple(answers), tuple(parents))), faults


@cache
def _campaign(name, compat):
    """The schema of a campaign, its suffix added to every question."""
    suffix, _, rows = CAMPAIGNS[name]
    questions = []
    for text, answers, ours, *published in rows:
        parents = published[0] if published and compat == "published" else ours
        if parents is None:
            continue
        after = tuple(f"{q}{suffix}_{a}" for q, a in (p.split("_") for p in parents.split()))
        questions.append(Question(text + suffix, tuple(answers.split()), after))
    return Schema(name, tuple(questions))


SCHEMAS = {name: _campaign(name, "ours") for name in CAMPAIGNS}


def get_schema(schema, compat="ours"):
    """The schema of a campaign, of a file, or of several together.

    Args:
        schema: Name of a campaign (`list_schemas`), path of a YAML file, several of these as a list or joined by
            commas (a galaxy may have votes from any of them), the dict of `Schema.to_dict`, or a `Schema`, which
            is returned unchanged.
        compat: "ours", the tree that volunteers followed, with several parents where applicable; "published", that of
            the public tables, with at most one parent, to compare with published catalogues.

    Returns:
        `Schema`.

    Raises:
        ValueError: No such campaign, or a tree with faults, all of which are listed.
        FileNotFoundError: No such file.
    """
    check_known("compat", compat, COMPAT)
    if isinstance(schema, Schema):
        return schema
    if isinstance(schema, Mapping):
        return Schema.from_dict(schema)
    if isinstance(schema, str) and "," in schema:
        schema = [part.strip() for part in schema.split(",")]
    if isinstance(schema, list | tuple):
        parts = [get_schema(part, compat) for part in schema]
        return Schema(",".join(part.name for part in parts), tuple(q for part in parts for q in part.questions))
    if str(schema) in CAMPAIGNS:
        return _campaign(str(schema), compat)
    if Path(schema).suffix in (".yaml", ".yml"):
        return _read_yaml(Path(schema))
    raise ValueError(f"{unknown('schema', str(schema), CAMPAIGNS)}; a tree of your own is a .yaml file")


def _read_yaml(path):
    if not path.is_file():
        raise FileNotFoundError(f"there is no schema at {path}")
    return Schema.from_dict(read_yaml(path, words=True))


def list_schemas(schema=None, compat="ours"):
    """Lists the known campaigns, or draws the trees of some.

    Args:
        schema: None for the list of campaigns; otherwise as for `get_schema`.
        compat: See `get_schema`.

    Returns:
        Text: a line per campaign, or the tree.

    Raises:
        ValueError: See `get_schema`.
    """
    chosen = [_campaign(name, compat) for name in CAMPAIGNS] if schema is None else [get_schema(schema, compat)]
    lines = []
    for each in chosen:
        number = len(each.questions)
        sizes = f"{number} question{'s' if number > 1 else ''}, {len(each.label_cols)} answers"
        about = f"  {CAMPAIGNS[each.name].about}" if each.name in CAMPAIGNS else ""
        lines.append(f"{each.name:<15} {sizes:<25}{about}".rstrip())
    return "\n".join(lines) if schema is None else f"{lines[0]}\n\n{chosen[0]}"
