import numpy as np
import pytest

from morphtools.answers.classes import Classes
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.uncertainty import uncertainty_of


def test_classes_are_uncertain_by_the_margin_of_the_two_most_probable():
    p = np.array([[0.4, 0.4, 0.2], [0.7, 0.1, 0.2], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(uncertainty_of(Classes(("a", "b", "c")), p), [1.0, 0.5, 0.0])


def test_numbers_are_uncertain_by_their_standard_deviations_whatever_their_units():
    outputs = np.array([[0, 0, np.log(1), np.log(100)], [0, 0, np.log(3), np.log(300)]])
    np.testing.assert_allclose(uncertainty_of(Numbers(("a", "b")), outputs), [0.5, 1.5])


def test_a_wide_redshift_pdf_is_more_uncertain_than_a_narrow_one():
    answer = Photoz(4, (0.0, 0.4), "softmax", "mean")
    narrow, wide = uncertainty_of(answer, np.array([[0, 1, 0, 0], [0.5, 0, 0, 0.5]]))
    assert narrow == pytest.approx(0, abs=1e-9) and wide > 0.1
