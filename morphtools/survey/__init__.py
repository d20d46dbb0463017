"""Facts about galaxies and surveys, as data."""
