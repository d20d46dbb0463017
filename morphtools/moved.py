"""Old names of modules that moved to other rooms: they still import, with a warning."""

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec

MOVED = {
    "morphtools.analysis.acquisition": "morphtools.anomalies.acquisition",
    "morphtools.analysis.anomaly": "morphtools.anomalies.loop",
    "morphtools.analysis.anomaly_benchmark": "morphtools.studies.anomaly_benchmark",
    "morphtools.analysis.anomaly_figures": "morphtools.anomalies.anomaly_figures",
    "morphtools.analysis.anomaly_search": "morphtools.anomalies.search",
    "morphtools.analysis.anomaly_simulation": "morphtools.anomalies.simulation",
    "morphtools.analysis.artifacts": "morphtools.explore.artifacts",
    "morphtools.analysis.clusters": "morphtools.explore.clusters",
    "morphtools.analysis.ellipses": "morphtools.studies.ellipses",
    "morphtools.analysis.figures": "morphtools.explore.figures",
    "morphtools.analysis.gaussian_process": "morphtools.anomalies.gaussian_process",
    "morphtools.analysis.maps": "morphtools.explore.maps",
    "morphtools.analysis.neighbours": "morphtools.explore.neighbours",
    "morphtools.analysis.outliers": "morphtools.explore.outliers",
    "morphtools.analysis.page": "morphtools.explore.page",
    "morphtools.analysis.pca": "morphtools.explore.pca",
    "morphtools.analysis.photometry": "morphtools.studies.photometry",
    "morphtools.analysis.photoz": "morphtools.studies.photoz",
    "morphtools.analysis.photoz_baselines": "morphtools.studies.photoz_baselines",
    "morphtools.analysis.photoz_figures": "morphtools.studies.photoz_figures",
    "morphtools.analysis.photoz_recalibration": "morphtools.studies.photoz_recalibration",
    "morphtools.analysis.photoz_scores": "morphtools.studies.photoz_scores",
    "morphtools.analysis.pictures": "morphtools.explore.pictures",
    "morphtools.analysis.ranking": "morphtools.anomalies.ranking",
    "morphtools.analysis.ratings": "morphtools.anomalies.ratings",
    "morphtools.analysis.retrieval": "morphtools.studies.retrieval",
    "morphtools.analysis.showing": "morphtools.explore.showing",
    "morphtools.analysis.similarity": "morphtools.explore.similarity",
    "morphtools.analysis.sky": "morphtools.explore.positions",
    "morphtools.analysis.tables": "morphtools.explore.tables",
    "morphtools.inference.calibration": "morphtools.answers.calibration",
    "morphtools.inference.evaluation": "morphtools.studies.evaluation",
    "morphtools.inference.figures": "morphtools.answers.class_figures",
    "morphtools.inference.label_savings": "morphtools.studies.label_savings",
    "morphtools.inference.learning_figures": "morphtools.training.learning_figures",
    "morphtools.inference.metrics": "morphtools.answers.class_metrics",
    "morphtools.inference.posteriors": "morphtools.answers.posteriors",
    "morphtools.inference.predictions": "morphtools.answers.predictions",
    "morphtools.inference.probes": "morphtools.training.probes",
    "morphtools.inference.recalibration": "morphtools.answers.recalibration",
    "morphtools.inference.redshift_figures": "morphtools.answers.redshift_figures",
    "morphtools.inference.redshift_metrics": "morphtools.answers.redshift_metrics",
    "morphtools.inference.redshift_neighbours": "morphtools.answers.redshift_neighbours",
    "morphtools.inference.redshifts": "morphtools.answers.redshifts",
    "morphtools.inference.report": "morphtools.answers.class_report",
    "morphtools.inference.show_augmentations": "morphtools.data.show_augmentations",
    "morphtools.inference.vote_figures": "morphtools.answers.vote_figures",
    "morphtools.models.redshifts": "morphtools.models.redshift_head",
    "morphtools.models.votes": "morphtools.models.dirichlet",
    "morphtools.survey.simulate": "morphtools.sky.simulate",
    "morphtools.survey.sky_artifacts": "morphtools.sky.defects",
    "morphtools.survey.sky_disks": "morphtools.sky.disks",
    "morphtools.survey.sky_frames": "morphtools.sky.frames",
    "morphtools.survey.sky_galaxies": "morphtools.sky.galaxies",
    "morphtools.survey.sky_light": "morphtools.sky.light",
    "morphtools.survey.sky_observe": "morphtools.sky.observe",
    "morphtools.survey.sky_products": "morphtools.sky.products",
    "morphtools.survey.sky_sources": "morphtools.sky.sources",
    "morphtools.survey.sky_spectra": "morphtools.sky.spectra",
    "morphtools.survey.volunteers": "morphtools.sky.volunteers",
    "morphtools.training.ablation": "morphtools.studies.ablation",
    "morphtools.training.evaluate_representations": "morphtools.studies.evaluate_representations",
    "morphtools.training.learning_curve": "morphtools.studies.learning_curve",
    "morphtools.training.neighbours": "morphtools.studies.run_neighbours",
}
_GONE = "morphtools.analysis"  # its modules are in explore, anomalies and studies


class _Finder:
    """Finds a module under its old name and puts the one that replaces it in its place."""

    def find_spec(self, name, path=None, target=None):
        if name not in MOVED and name != _GONE:
            return None
        return ModuleSpec(name, self, is_package=name == _GONE)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__
        if name == _GONE:
            return
        warnings.warn(f"{name} is now {MOVED[name]}", DeprecationWarning, stacklevel=2)
        sys.modules[name] = import_module(MOVED[name])


def install() -> None:
    """Lets the old names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
