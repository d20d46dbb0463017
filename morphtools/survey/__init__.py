"""What is known about galaxies and surveys, as data."""
