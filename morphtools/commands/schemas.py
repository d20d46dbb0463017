"""Commands for question trees."""

import click

import morphtools
from morphtools.commands.calling import call


@click.command()
@click.argument("schema", required=False)
@click.option("--compat", help="ours (default): as volunteers saw it; published: at most one parent per question.")
def list_schemas(**options):
    """List, draw or check question trees.

    SCHEMA is the name of a Galaxy Zoo campaign, a YAML file, or several joined by commas:

        morphtools list-schemas

        morphtools list-schemas gz2

        morphtools list-schemas my-tree.yaml

    A tree of your own is a YAML file such as this, with votes in columns named question_answer (bar_yes):

    \b
        name: my-survey
        questions:
          - question: smooth-or-featured
            answers: [smooth, featured, artifact]
          - question: bar
            answers: [yes, no]
            asked_after: [smooth-or-featured_featured]
    """  # noqa: D301 (click does not fill the paragraph after \b)
    click.echo(call(morphtools.list_schemas, options))
