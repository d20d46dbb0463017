"""`python -m morphtools` is the command `morphtools`."""

from morphtools.cli import main

main(prog_name="morphtools")
