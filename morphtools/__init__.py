"""morphtools: find, classify and understand galaxies with a few hundred labels."""

__version__ = "0.1.0"

_HOMES = {
    "AnomalyLoop": "morphtools.analysis.anomaly",
    "benchmark_anomalies": "morphtools.analysis.anomaly_benchmark",
    "find_anomalies": "morphtools.analysis.anomaly_search",
    "Card": "morphtools.models.cards",
    "Predictions": "morphtools.inference.predictions",
    "RandomView": "morphtools.data.augment",
    "Records": "tfrecords_builder.records",
    "Representations": "morphtools.inference.representations",
    "Schema": "morphtools.survey.schemas",
    "build_encoder": "morphtools.models.encoders",
    "build_records": "tfrecords_builder.build",
    "cite": "morphtools.models.cards",
    "classification_head": "morphtools.models.heads",
    "doctor": "morphtools.diagnosis",
    "evaluate_votes": "morphtools.inference.calibration",
    "finetune": "morphtools.training.finetune",
    "get_schema": "morphtools.survey.schemas",
    "inspect_records": "tfrecords_builder.look",
    "list_pretrained": "morphtools.models.cards",
    "list_schemas": "morphtools.survey.schemas",
    "load_dataset": "morphtools.data.dataset",
    "load_pretrained": "morphtools.models.pretrained",
    "predict": "morphtools.inference.predict",
    "preview_records": "tfrecords_builder.look",
    "read_votes": "morphtools.survey.vote_columns",
    "regression_head": "morphtools.models.heads",
    "represent": "morphtools.inference.represent",
    "simulate_galaxies": "morphtools.survey.simulate",
    "simulate_survey": "morphtools.survey.simulate",
    "train": "morphtools.training.train",
    "vote_tables": "morphtools.inference.posteriors",
    "verify_records": "tfrecords_builder.verify",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    """Imports a public name when it is first used: TensorFlow costs seconds (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'morphtools' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__():
    return [*globals(), *__all__]
