"""Help as people read it: verbs by what they are for, common options first, examples that can be copied."""

import inspect
import re
import textwrap

import click

COMMON = frozenset(  # what most people need for any verb, beside what is required
    """task column labels schema method weights epochs catalog images records bands image_size representations like
    image ra dec galaxies colour clusters names numbers map regions baselines oracle examples rater radius find template
    preview contact out config""".split()
)
FEW = 9  # a verb with no more options than this shows them all at once, not counting --help


class Verb(click.Command):
    """A command whose help shows the common options first."""

    def format_options(self, context, formatter):
        """Writes the sections `Options` and, for a command with many, `More options`."""
        options = [o for o in self.get_params(context) if isinstance(o, click.Option) and not o.hidden]
        few = len(options) <= FEW + 1
        common = [o for o in options if few or o.required or o.name in COMMON]
        others = [o for o in options if o not in common]
        for title, shown in (("Options (defaults in brackets)", common), ("More options", others)):
            if shown:
                with formatter.section(title):
                    formatter.write_dl([option.get_help_record(context) for option in shown])


class Verbs(click.Group):
    """A command whose help lists its verbs by what they are for."""

    def __init__(self, *args, groups: dict[str, tuple[click.Command, ...]], **kwargs):
        super().__init__(*args, **kwargs)
        self.groups = {}
        for title, commands in groups.items():
            self.groups[title] = tuple(
                Verb(command.name, callback=command.callback, params=command.params, help=_copyable(command.help))
                for command in commands
            )
            for verb in self.groups[title]:
                self.add_command(verb)

    def format_commands(self, context, formatter):
        """Writes a section per group: each verb with the first sentence of its help."""
        longest = max(map(len, self.commands))
        for title, verbs in self.groups.items():
            with formatter.section(title):
                formatter.write_dl([(f"{verb.name:<{longest}}", _first_sentence(verb)) for verb in verbs])


def _first_sentence(command: click.Command) -> str:
    return re.split(r"\.(?:\s|$)", " ".join((command.help or "").split()), maxsplit=1)[0]


def _copyable(text: str | None) -> str:
    """Help with its examples indented and folded to 80 columns, as a shell reads them; click fills other paragraphs."""
    return re.sub(
        r"^ *(morphtools .*)$", lambda example: "\b\n" + _folded(example[1]), inspect.cleandoc(text or ""), flags=re.M
    )


def _folded(command: str) -> str:
    """A command over several lines that end in a backslash; options stay beside their values."""
    joined = re.sub(r"(--[\w-]+) (?!-)", "\\1\xa0", command)
    lines = textwrap.wrap(
        joined, 74, initial_indent=" " * 4, subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False
    )
    return " \\\n".join(lines).replace("\xa0", " ")
