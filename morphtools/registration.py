"""Keras finds our layers and losses in its files once morphtools is imported, which imports no Keras.

Keras looks a class up by its registered name, and registering it takes an import of seconds. So that
`keras.models.load_model("run/model.keras")` works after `import morphtools`, each name stands for a stand-in that
imports the class when Keras asks it to read a configuration; the class itself takes its place when it is imported.
"""

import importlib
import importlib.abc
import sys
from importlib.machinery import PathFinder

CLASSES = {
    "AsinhStretch": "morphtools.models.inputs",
    "BatchNormalization": "morphtools.models.batch_norm",
    "DenseHead": "morphtools.models.heads",
    "DirichletHead": "morphtools.models.dirichlet",
    "DirichletMultinomialLoss": "morphtools.models.dirichlet",
    "FluxScale": "morphtools.models.inputs",
    "Functional": "morphtools.models.guarded",
    "LayerScale": "morphtools.models.convnext",
    "MixtureHead": "morphtools.models.redshift_head",
    "OrientationMean": "morphtools.models.encoders",
    "NumberHead": "morphtools.models.number_head",
    "Orientations": "morphtools.models.encoders",
    "PictureRange": "morphtools.models.inputs",
    "RandomBlur": "morphtools.data.augment_light",
    "RandomDisplay": "morphtools.data.augment_light",
    "RandomErase": "morphtools.data.augment",
    "RandomExtinction": "morphtools.data.augment_light",
    "RandomNoise": "morphtools.data.augment_light",
    "RandomView": "morphtools.data.augment",
    "RedshiftLoss": "morphtools.models.redshift_head",
    "SeveralHead": "morphtools.models.several_head",
    "Sequential": "morphtools.models.guarded",
    "Standardize": "morphtools.models.standardize",
}


def register() -> None:
    """Registers our classes with Keras: at once if it is already imported, otherwise when it is."""
    if hasattr(sys.modules.get("keras"), "saving"):
        _register(sys.modules["keras"])
    elif not any(isinstance(finder, _WhenImported) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenImported())


class _WhenImported(importlib.abc.MetaPathFinder):
    """Waits for the import of Keras; others may ask before where it is (TensorFlow does)."""

    def find_spec(self, name, path=None, target=None):
        spec = PathFinder.find_spec(name, path) if name == "keras" else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                _register(module)

            spec.loader.exec_module = execute_and_register
        return spec


def _register(keras) -> None:
    known = keras.saving.get_custom_objects()
    for name, home in CLASSES.items():
        known.setdefault(f"morphtools>{name}", _stand_in(name, home))


def _stand_in(name: str, home: str) -> type:
    def from_config(cls, config, custom_objects=None):
        return getattr(importlib.import_module(home), name).from_config(config)

    return type(name, (), {"from_config": classmethod(from_config)})
