"""From positions to galaxies and back to other programs: cutouts, dust, and matches between catalogues."""
