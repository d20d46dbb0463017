import numpy as np
import pytest

from morphtools.answers.classes import Classes
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from morphtools.answers.uncertainty import uncertainty_of


def test_classes_are_uncertain_by_the_margin_of_the_two_most_probable():
    p = np.array([[0.4, 0.4, 0.2], [0.7, 0.1, 0.2], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(uncertainty_of(Classes(("a", "b", "c")), p), [1.0, 0.5, 0.0])


def test_several_questions_are_uncertain_by_their_mean_or_by_the_one_that_is_chosen():
    answer = Several(("bar", "type"), (Classes(("no", "yes")), Classes(("a", "b", "c"))))
    p = np.array([[0.5, 0.5, 1.0, 0.0, 0.0], [0.9, 0.1, 0.5, 0.3, 0.2]])
    np.testing.assert_allclose(uncertainty_of(answer, p), [0.5, 0.5])
    np.testing.assert_allclose(uncertainty_of(answer, p, "bar"), [1.0, 0.2])
    with pytest.raises(ValueError, match="unknown question 'ring'; known questions: bar, type"):
        uncertainty_of(answer, p, "ring")
    with pytest.raises(ValueError, match="the run answers one only"):
        uncertainty_of(answer.answers[0], p[:, :2], "bar")


def test_numbers_are_uncertain_by_their_standard_deviations_whatever_their_units():
    outputs = np.array([[0, 0, np.log(1), np.log(100)], [0, 0, np.log(3), np.log(300)]])
    np.testing.assert_allclose(uncertainty_of(Numbers(("a", "b")), outputs), [0.5, 1.5])
    outputs[1, 3] = np.log(100)
    np.testing.assert_allclose(uncertainty_of(Numbers(("a", "b")), outputs, "b"), [1, 1])
    np.testing.assert_allclose(uncertainty_of(Numbers(("a", "b")), outputs, "a"), [0.5, 1.5])


def test_a_wide_redshift_pdf_is_more_uncertain_than_a_narrow_one():
    answer = Photoz(4, (0.0, 0.4), "softmax", "mean")
    narrow, wide = uncertainty_of(answer, np.array([[0, 1, 0, 0], [0.5, 0, 0, 0.5]]))
    assert narrow == pytest.approx(0, abs=1e-9) and wide > 0.1
