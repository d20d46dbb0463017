import numpy as np
from scipy.stats import norm

from morphtools.answers.redshift_figures import against_spectra, gallery, pit_histogram
from morphtools.answers.redshifts import Redshifts


def redshifts(n=60):
    rng = np.random.default_rng(0)
    edges, truth = np.linspace(0, 0.4, 41), rng.uniform(0.1, 0.3, n)
    pdf = np.diff(norm.cdf(edges, (truth + rng.normal(0, 0.02, n))[:, np.newaxis], 0.02), axis=1)
    return Redshifts(np.arange(n).astype(str), pdf / pdf.sum(1, keepdims=True), edges, "mean", truth, {})


def test_the_density_holds_every_galaxy_and_names_the_scores():
    found = redshifts()
    axes = against_spectra(found.z(), found.redshift).axes[0]
    assert len(axes.lines[0].get_xdata()) == 60
    many = against_spectra(np.tile(found.z(), 20), np.tile(found.redshift, 20))
    assert np.nansum(many.axes[0].collections[0].get_array()) == 1200
    dz = (found.z() - found.redshift) / (1 + found.redshift)
    assert f"bias {dz.mean():+.4f}" in axes.texts[0].get_text()


def test_the_pit_histogram_counts_and_its_band_holds_uniform_values():
    axes = pit_histogram((np.arange(1000) + 0.5) / 1000).axes[0]
    heights = [bar.get_height() for bar in axes.containers[0]]
    assert heights == [50] * 20
    band = axes.patches[-1].get_bbox()
    assert band.y0 < 40 and band.y1 > 60


def test_the_gallery_puts_each_pdf_beside_its_galaxy():
    found = redshifts()
    figure = gallery(found, [3, 1, 40], [np.zeros((8, 8, 3))] * 3, columns=2)
    pictures = [axes for axes in figure.axes if axes.images]
    pdfs = [axes for axes in figure.axes if axes.collections]
    assert [axes.get_title() for axes in pictures] == ["3", "1", "40"]
    for axes, row in zip(pdfs, [3, 1, 40], strict=True):
        assert axes.lines[1].get_xdata()[0] == found.redshift[row]
