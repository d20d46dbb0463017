import numpy as np
import pytest

from morphtools.survey.extinction import transmission


def test_sdss_transmission_at_a_tenth_of_a_magnitude_is_as_published():
    # Recomputed by hand from A_b of Schlafly & Finkbeiner 2011, table 6: 10^(-0.04 A_b).
    got = transmission(0.1, bands="ugriz", survey="sdss")
    np.testing.assert_allclose(got, [0.67677, 0.73770, 0.81021, 0.85522, 0.89018], atol=5e-6)


def test_reddening_twice_is_reddening_by_the_sum():
    a, b = np.array([0.03, 0.2]), np.array([0.1, 0.05])
    together = transmission(a + b, bands="grz", survey="decals")
    apart = transmission(a, bands="grz", survey="decals") * transmission(b, bands="grz", survey="decals")
    np.testing.assert_allclose(together, apart)


def test_what_the_table_lacks_is_named():
    with pytest.raises(ValueError, match="no band 'u'; its bands: grizy"):
        transmission(0.1, bands="u", survey="ps1")
    with pytest.raises(ValueError, match="unknown survey 'lsst'; known surveys: sdss"):
        transmission(0.1, bands="g", survey="lsst")
