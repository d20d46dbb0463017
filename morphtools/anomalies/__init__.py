"""The rating loop that finds the galaxies interesting to one person."""
