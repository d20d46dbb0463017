"""morphtools: find, classify and understand galaxies with a few hundred labels."""

__version__ = "0.1.0"

_HOMES = {
    "AnomalyLoop": "morphtools.analysis.anomaly",
    "benchmark_anomalies": "morphtools.analysis.anomaly_benchmark",
    "find_anomalies": "morphtools.analysis.anomaly_search",
    "Predictions": "morphtools.inference.predictions",
    "Representations": "morphtools.inference.representations",
    "RandomView": "morphtools.data.augment",
    "Records": "tfrecords_builder.records",
    "build_encoder": "morphtools.models.encoders",
    "build_records": "tfrecords_builder.build",
    "classification_head": "morphtools.models.heads",
    "doctor": "morphtools.diagnosis",
    "finetune": "morphtools.training.finetune",
    "inspect_records": "tfrecords_builder.look",
    "load_dataset": "morphtools.data.dataset",
    "preview_records": "tfrecords_builder.look",
    "regression_head": "morphtools.models.heads",
    "simulate_galaxies": "morphtools.survey.simulate",
    "simulate_survey": "morphtools.survey.simulate",
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
