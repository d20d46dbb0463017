import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords_builder.coordinates import sky_positions


def one(ra, dec):
    sky, reasons = sky_positions([{"ra": ra, "dec": dec}])
    return sky[0], reasons[0]


@pytest.mark.parametrize("before, between, after", [("", "::", ""), (" ", "  ", ""), ("", "hm", "s"), ("", "dm", "s")])
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 86399), st.integers(0, 999), st.integers(0, 323999), st.integers(0, 999), st.sampled_from("+-"))
def test_sexagesimal_text_is_hours_and_degrees(before, between, after, second, ms, arcsecond, mas, sign):
    def text(value, thousandths, marks):
        parts = f"{value // 3600:02d}", f"{value // 60 % 60:02d}", f"{value % 60:02d}.{thousandths:03d}"
        return before + parts[0] + marks[0] + parts[1] + marks[1] + parts[2] + after

    degrees = between == "dm"  # said in the text itself
    ra = text(second, ms, between)
    dec = sign + text(arcsecond, mas, between.replace("h", "d")).strip()
    sky, reason = one(ra, dec)
    assert not reason
    expected_ra = (second + ms / 1000) / 3600 * (1 if degrees else 15)
    expected_dec = (arcsecond + mas / 1000) / 3600 * (1 if sign == "+" else -1)
    np.testing.assert_allclose(sky, [expected_ra, expected_dec], atol=1e-9)


@given(st.floats(-360, 720), st.floats(-90, 90))
def test_right_ascension_goes_around(ra, dec):
    sky, reason = one(ra, dec)
    assert not reason and 0 <= sky[0] <= 360
    assert np.sin(np.deg2rad(sky[0])) == pytest.approx(np.sin(np.deg2rad(ra)), abs=1e-9)
    assert np.cos(np.deg2rad(sky[0])) == pytest.approx(np.cos(np.deg2rad(ra)), abs=1e-9)
    np.testing.assert_array_equal(one(str(ra), str(dec))[0], sky)  # numbers as text are degrees


@pytest.mark.parametrize(
    "ra, dec, reason",
    [
        (-9999, 2.0, "ra is -9999"),
        (150.0, -99.0, "dec is -99.0"),
        (150.0, 999999, "dec is 999999"),
        ("10:00", "somewhere", "dec is 'somewhere', which cannot be read"),
        ("25:00:00", 2.0, "ra is '25:00:00'"),
        ("10:61:00", 2.0, "ra is '10:61:00'"),
        ("-01:00:00", 2.0, "ra is '-01:00:00'"),
        ("10:00:00", "+91:00:00", "dec is '[+]91:00:00'"),
    ],
)
def test_what_is_not_a_position_is_refused_by_name_and_value(ra, dec, reason):
    sky, said = one(ra, dec)
    assert np.isnan(sky).all()
    assert said.startswith(reason.replace("[+]", "+"))


@pytest.mark.parametrize("value", [None, float("nan"), "", "nan", np.nan])
def test_an_unknown_position_is_nan_without_a_reason(value):
    sky, reason = one(value, value)
    assert np.isnan(sky).all() and reason == ""
    sky, reason = sky_positions([{"x": 1.0}])
    assert np.isnan(sky).all() and reason[0] == ""


def test_rows_of_a_table_with_capitals_have_positions():
    sky, reasons = sky_positions([{"RA": 150.5, "DEC": -2.25}, {"RA": 1.0, "dec": 2.0}])
    np.testing.assert_array_equal(sky, [[150.5, -2.25], [1.0, 2.0]])
    assert not reasons.any()
