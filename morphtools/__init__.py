"""morphtools: find, classify and understand galaxies with a few hundred labels."""

__version__ = "0.1.0"

_HOMES = {
    "AnomalyLoop": "morphtools.analysis.anomaly",
    "BYOL": "morphtools.models.contrastive",
    "Card": "morphtools.models.cards",
    "DirichletHead": "morphtools.models.votes",
    "DirichletMultinomialLoss": "morphtools.models.votes",
    "Look": "morphtools.data.look",
    "MoCo": "morphtools.models.contrastive",
    "Neighbours": "morphtools.analysis.neighbours",
    "Predictions": "morphtools.inference.predictions",
    "RandomBlur": "morphtools.data.augment_light",
    "RandomDisplay": "morphtools.data.augment_light",
    "RandomErase": "morphtools.data.augment",
    "RandomExtinction": "morphtools.data.augment_light",
    "RandomNoise": "morphtools.data.augment_light",
    "RandomView": "morphtools.data.augment",
    "Records": "tfrecords_builder.records",
    "RedshiftLoss": "morphtools.models.redshifts",
    "Redshifts": "morphtools.inference.redshifts",
    "Representations": "morphtools.inference.representations",
    "Schema": "morphtools.survey.schemas",
    "SimCLR": "morphtools.models.contrastive",
    "ablate_augmentations": "morphtools.training.ablation",
    "benchmark_anomalies": "morphtools.analysis.anomaly_benchmark",
    "build_augmentations": "morphtools.data.presets",
    "build_encoder": "morphtools.models.encoders",
    "build_records": "tfrecords_builder.build",
    "cite": "morphtools.models.cards",
    "classification_head": "morphtools.models.heads",
    "cluster": "morphtools.analysis.clusters",
    "crop_box": "tfrecords_builder.crop",
    "doctor": "morphtools.diagnosis",
    "evaluate_photoz": "morphtools.analysis.photoz",
    "evaluate_representations": "morphtools.training.evaluate_representations",
    "evaluate_retrieval": "morphtools.analysis.retrieval",
    "evaluate_votes": "morphtools.inference.calibration",
    "find_anomalies": "morphtools.analysis.anomaly_search",
    "find_artifacts": "morphtools.analysis.artifacts",
    "find_similar": "morphtools.analysis.similarity",
    "finetune": "morphtools.training.finetune",
    "fit_recalibration": "morphtools.inference.recalibration",
    "get_schema": "morphtools.survey.schemas",
    "inspect_records": "morphtools.data.look",
    "learning_curve": "morphtools.training.learning_curve",
    "list_pretrained": "morphtools.models.cards",
    "list_schemas": "morphtools.survey.schemas",
    "load_dataset": "morphtools.data.dataset",
    "load_pretrained": "morphtools.models.pretrained",
    "make_map": "morphtools.analysis.maps",
    "predict": "morphtools.inference.predict",
    "pretrain": "morphtools.training.pretrain",
    "preview_records": "morphtools.data.look",
    "read_concentrations": "morphtools.inference.posteriors",
    "read_votes": "morphtools.survey.vote_columns",
    "recalibrate": "morphtools.inference.recalibration",
    "redshift_head": "morphtools.models.redshifts",
    "reduce_representations": "morphtools.analysis.pca",
    "regression_head": "morphtools.models.heads",
    "represent": "morphtools.inference.represent",
    "represent_pixels": "morphtools.analysis.pictures",
    "show": "morphtools.analysis.showing",
    "show_augmentations": "morphtools.inference.show_augmentations",
    "show_galaxies": "morphtools.analysis.showing",
    "simulate_galaxies": "morphtools.survey.simulate",
    "simulate_survey": "morphtools.survey.simulate",
    "train": "morphtools.training.train",
    "verify_records": "tfrecords_builder.verify",
    "vote_tables": "morphtools.inference.posteriors",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    """Imports a public name when it is first used: TensorFlow costs seconds (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'morphtools' has no attribute {name!r}")
    from importlib import import_module

    from tfrecords_builder.quiet import quietly

    with quietly():
        return getattr(import_module(_HOMES[name]), name)


def __dir__():
    return [*globals(), *__all__]
