"""morphtools: find, classify and understand galaxies with a few hundred labels."""

__version__ = "0.1.0"
