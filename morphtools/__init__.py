"""morphtools: find, classify and understand galaxies with a few hundred labels."""

from morphtools.moved import install as _install
from morphtools.registration import register as _register

__version__ = "0.3.0"

_HOMES = {
    "AnomalyLoop": "morphtools.anomalies.loop",
    "BYOL": "morphtools.models.contrastive",
    "Card": "morphtools.models.cards",
    "CrossMatch": "morphtools.archives.cross_match",
    "Cutouts": "morphtools.archives.fetching",
    "DirichletHead": "morphtools.models.dirichlet",
    "DirichletMultinomialLoss": "morphtools.models.dirichlet",
    "Look": "morphtools.data.look",
    "MoCo": "morphtools.models.contrastive",
    "Neighbours": "morphtools.explore.neighbours",
    "Predictions": "morphtools.answers.predictions",
    "RandomBlur": "morphtools.data.augment_light",
    "RandomDisplay": "morphtools.data.augment_light",
    "RandomErase": "morphtools.data.augment",
    "RandomExtinction": "morphtools.data.augment_light",
    "RandomNoise": "morphtools.data.augment_light",
    "RandomView": "morphtools.data.augment",
    "Records": "tfrecords_builder.records",
    "RedshiftLoss": "morphtools.models.redshift_head",
    "Redshifts": "morphtools.answers.redshifts",
    "Representations": "morphtools.inference.representations",
    "Schema": "morphtools.survey.schemas",
    "SimCLR": "morphtools.models.contrastive",
    "ablate_augmentations": "morphtools.studies.ablation",
    "add_ebv": "morphtools.archives.ebv",
    "benchmark_anomalies": "morphtools.studies.anomaly_benchmark",
    "browse": "morphtools.app.notebook",
    "build_augmentations": "morphtools.data.presets",
    "build_encoder": "morphtools.models.encoders",
    "build_records": "tfrecords_builder.build",
    "cite": "morphtools.models.cards",
    "classification_head": "morphtools.models.heads",
    "cluster": "morphtools.explore.clusters",
    "compare_starts": "morphtools.studies.starts",
    "compare_weights": "morphtools.studies.compare_weights",
    "convert_table": "morphtools.archives.convert_table",
    "crop_box": "tfrecords_builder.crop",
    "cross_match": "morphtools.archives.cross_match",
    "doctor": "morphtools.diagnosis",
    "ebv_at": "morphtools.archives.ebv",
    "evaluate_photoz": "morphtools.studies.photoz",
    "evaluate_predictions": "morphtools.studies.evaluate_predictions",
    "evaluate_representations": "morphtools.studies.evaluate_representations",
    "evaluate_retrieval": "morphtools.studies.retrieval",
    "evaluate_votes": "morphtools.answers.calibration",
    "export": "morphtools.inference.export",
    "fetch_cutouts": "morphtools.archives.fetching",
    "fetch_imagenet": "morphtools.models.imagenet",
    "find_anomalies": "morphtools.anomalies.search",
    "find_artifacts": "morphtools.explore.artifacts",
    "find_outliers": "morphtools.explore.find_outliers",
    "find_similar": "morphtools.explore.similarity",
    "finetune": "morphtools.training.finetune",
    "fit_recalibration": "morphtools.answers.recalibration",
    "get_schema": "morphtools.survey.schemas",
    "import_weights": "morphtools.models.import_weights",
    "inspect_records": "morphtools.data.look",
    "learning_curve": "morphtools.studies.learning_curve",
    "list_cuts": "morphtools.survey.quality_cuts",
    "list_pretrained": "morphtools.models.cards",
    "list_schemas": "morphtools.survey.schemas",
    "load_dataset": "morphtools.data.dataset",
    "load_pretrained": "morphtools.models.pretrained",
    "make_map": "morphtools.explore.maps",
    "make_moc": "morphtools.archives.moc",
    "prepare_images": "morphtools.inference.prepare_images",
    "predict": "morphtools.inference.predict",
    "pretrain": "morphtools.training.pretrain",
    "preview_records": "morphtools.data.look",
    "read_concentrations": "morphtools.answers.posteriors",
    "read_votes": "morphtools.survey.vote_columns",
    "recalibrate": "morphtools.answers.recalibration",
    "redshift_head": "morphtools.models.redshift_head",
    "reduce_representations": "morphtools.explore.pca",
    "regression_head": "morphtools.models.heads",
    "represent": "morphtools.inference.represent",
    "represent_pixels": "morphtools.explore.pictures",
    "select_galaxies": "morphtools.archives.select_galaxies",
    "send_to_topcat": "morphtools.archives.samp",
    "show": "morphtools.explore.showing",
    "show_augmentations": "morphtools.data.show_augmentations",
    "show_galaxies": "morphtools.explore.showing",
    "simulate_galaxies": "morphtools.sky.simulate",
    "simulate_survey": "morphtools.sky.simulate",
    "suggest_labels": "morphtools.explore.suggest_labels",
    "train": "morphtools.training.train",
    "upload": "tfrecords_builder.upload",
    "verify_records": "tfrecords_builder.verify",
    "vote_tables": "morphtools.answers.posteriors",
    "write_table": "tfrecords_builder.tables_out",
}
__all__ = sorted(_HOMES)
_install()
_register()


def __getattr__(name: str):
    """Imports a public name when it is first used: TensorFlow costs seconds (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'morphtools' has no attribute {name!r}")
    from importlib import import_module

    from tfrecords_builder.quiet import quietly

    try:
        with quietly():
            return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "jax", "torch", "tf_keras"):
            raise
        raise ImportError(
            f"{error.name} is not installed, which Keras or TensorFlow is set to use: see the environment variables "
            "KERAS_BACKEND and TF_USE_LEGACY_KERAS, and `backend` in ~/.keras/keras.json; morphtools needs tensorflow"
        ) from None


def __dir__():
    return [*globals(), *__all__]
