"""Exports weights for other software: writes them, runs them there, and compares the outputs."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from morphtools.data.dataset import load_dataset
from morphtools.inference.export_hub import read_hub, write_hub
from morphtools.models.cards import Card, find_card, write_card
from morphtools.models.preparation import prepare
from morphtools.models.pretrained import load_pretrained
from morphtools.sky.simulate import pictures, simulate_galaxies
from tfrecords_builder.claims import claim, identity
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import check_known
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

FORMATS = ("keras", "onnx", "safetensors", "saved-model")
_CLOSE = 1e-4  # of the largest output of a kind: what two programs may differ by
_SHOWN = 16  # galaxies


def export(
    weights: str | Path,
    out: str | Path,
    *,
    format: str = "onnx",
    include_top: bool | None = None,
    orientations: int | None = None,
    records: str | Path | None = None,
) -> Path:
    """Writes weights for other software, and verifies that they give the same results there.

    The exported model is loaded by the target software, run on galaxies, and compared with Keras; if it differs, it is
    removed. `card.json` beside it describes how images are prepared.

    Args:
        weights: As for `load_pretrained`: a name, the folder of a run, or a path.
        out: Output folder.
        format: `onnx` (`model.onnx`; needs `pip install 'morphtools[onnx]'`), `saved-model` (of TensorFlow), `keras`
            (`model.keras`), or `safetensors`: the encoder as timm and the Hugging Face Hub have it, with `config.json`
            and `README.md`.
        include_top: Whether to end in the head; by default if there is one and the format can hold it.
        orientations: How many orientations of an image to average over; by default as for `load_pretrained`.
        records: Folder of records whose galaxies are shown; by default galaxies of the simulated sky.

    Returns:
        The folder.

    Raises:
        ValueError: There is no such format, the exported model gives other results, the format does not support this
            network, or a package is missing.
        FileExistsError: `out` contains something else.
    """
    check_known("format", format, FORMATS)
    path = find_card(weights)
    card = Card.open(path)
    if format == "safetensors":
        if include_top or (orientations or 1) != 1:
            raise ValueError("safetensors holds the bare encoder: no include_top and no orientations")
        include_top, orientations = False, 1
    include_top = card.kind != "encoder" if include_top is None else include_top
    settings = {"format": format, "include_top": include_top, "orientations": orientations}
    inputs = {"weights": card.sha256, "records": None if records is None else identity(records)}
    with claim(out, "export", settings, inputs):
        out = Path(out)
        if not (out / "card.json").exists():
            images, size = _galaxies(card, records)
            loading: dict[str, Any] = {"input_shape": size, "include_top": include_top, "orientations": orientations}
            model = load_pretrained(weights, **loading)
            expected = model.predict(images, verbose=0)  # a model that was never called cannot be exported
            write, run = _WAYS[format]
            write(model, out, card)
            _compare(expected, run(out, card)(images), format)
            _write_card(card, out, path)
            log.info("%s: %s gives what Keras gives, for %d galaxies", out, format, len(images))
    return out


def _galaxies(card: Card, records: str | Path | None) -> tuple[np.ndarray, tuple[int, int, int]]:
    """(N, H, W, C) images as the weights expect them, and (H, W, C)."""
    if records is not None:
        opened = Records.open(records)
        split = max(opened.splits, key=lambda name: opened.splits[name])
        prepared = prepare(card, opened)
        batch = next(iter(load_dataset(opened, split, batch_size=_SHOWN, **prepared.reading)))
        return batch["image"].numpy(), prepared.loading["input_shape"]
    bands = card.bands if card.range == "flux" and set(card.bands) <= set("ugriz") else ("g", "r", "z")
    bands = bands if set(bands) <= set("grz") or set(bands) <= set("ugriz") else ("g", "r", "z")
    side = max(card.image_size)
    catalog, images = simulate_galaxies(_SHOWN, image_size=side, bands="".join(bands))[:2]
    if card.range == "picture":
        images = pictures(catalog, images, bands="".join(bands))
    height, width, channels = card.input_shape
    images = np.resize(images[:, :height, :width].transpose(3, 0, 1, 2), (channels, _SHOWN, height, width))
    return np.ascontiguousarray(images.transpose(1, 2, 3, 0), "float32"), card.input_shape


def _compare(expected: np.ndarray, got, format: str) -> None:
    """Raises ValueError if the software the file is for gives something else than Keras."""
    expected, got = np.asarray(expected, "float64"), np.asarray(got, "float64")
    if got.shape != expected.shape or not np.isfinite(got).all():
        raise ValueError(f"the exported {format} gives {got.shape} or no numbers where Keras gives {expected.shape}")
    scale = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(got - expected).max()) / scale
    if difference > _CLOSE:
        others = ", ".join(f for f in FORMATS if f != format)
        raise ValueError(
            f"the exported {format} gives other numbers than Keras, by up to {difference:.1e} of the largest, and is "
            f"not kept; another format ({others}) may work"
        )


def _write_card(card: Card, out: Path, path: Path) -> None:
    if (out / "model.keras").exists():
        write_card(card, out / "model.keras")
    else:
        write_whole(out / "card.json", path.read_text())


def _write_onnx(model: keras.Model, out: Path, card: Card) -> None:
    try:
        import onnxruntime  # noqa: F401

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*np.object", FutureWarning)  # of Keras, which puts it there for tf2onnx
            write_whole(out / "model.onnx", lambda path: model.export(str(path), format="onnx", verbose=False))
    except ImportError as error:
        needed = error.name or str(error).split("\n")[0]
        raise ValueError(f"format='onnx' needs {needed}: pip install 'morphtools[onnx]'") from None


def _run_onnx(out: Path, card: Card) -> Callable:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    except Exception as error:  # it has its own exceptions
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"onnxruntime cannot read the exported model: {reason}") from error
    return lambda images: session.run(None, {session.get_inputs()[0].name: images})[0]


def _write_saved_model(model: keras.Model, out: Path, card: Card) -> None:
    model.export(str(out / "model"), format="tf_saved_model", verbose=False)


def _run_saved_model(out: Path, card: Card) -> Callable:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(out / "model"))
    return lambda images: loaded.serve(images)  # its variables live as long as it does


def _write_keras(model: keras.Model, out: Path, card: Card) -> None:
    write_whole(out / "model.keras", model.save)


def _run_keras(out: Path, card: Card) -> Callable:
    loaded = keras.saving.load_model(out / "model.keras")
    return lambda images: loaded.predict(images, verbose=0)


_WAYS = {  # how to write a format, and how to run what was written
    "keras": (_write_keras, _run_keras),
    "onnx": (_write_onnx, _run_onnx),
    "safetensors": (write_hub, read_hub),
    "saved-model": (_write_saved_model, _run_saved_model),
}
