"""From positions to galaxies, and back out: cutouts from archives, dust, matches between catalogues."""
