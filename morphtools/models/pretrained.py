"""Pretrained encoders and models, in the manner of `keras.applications`."""

from pathlib import Path

import keras
from keras import layers, ops

from morphtools.models import guarded
from morphtools.models.answering import head_for
from morphtools.models.cards import Card, find_card, sha256_of, weights_beside
from morphtools.models.encoders import any_way_up, build_encoder, check_keras
from morphtools.models.precision import precision
from tfrecords_builder.hdf5 import check_weights


def load_pretrained(
    weights: str | Path | None = "efficientnet_lite0_gz2",
    *,
    include_top: bool = False,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = "avg",
    orientations: int | None = None,
    noise: tuple[float, ...] | None = None,
    encoder: str = "efficientnet_b0",
    mixed_precision: bool = False,
) -> keras.Model:
    """Loads pretrained weights as a plain `keras.Model`; needs no network if they are on this machine.

    The network is built by our own code from what its card says, and only numbers are read from the file: nothing in
    it is executed.

    Pictures are numbers from 0 to 1, (B, H, W, 3) from red to blue: 0–255 give confident nonsense. Flux is in the units
    of the records it was trained on. `prepare_images(weights, images)` makes what the weights expect of PIL images,
    arrays or files, and refuses what they cannot be. Given images of another range, the model warns once; its copies by
    `keras.models.clone_model` or HDF5 do not, as they are plain models of Keras.

    With another number of bands, every band gets the mean over the bands of the first convolution's kernel, scaled so
    that images equal in all bands give what they gave before. That is a start for training, not a finished encoder.

    Args:
        weights: A name of `list_pretrained()`; `imagenet`, for the weights of `encoder` from ImageNet (or
            `ENCODER_imagenet`, see `fetch_imagenet`); a path: the folder of a run of `train` or `finetune` or of
            `import_weights`, weights (`NAME.weights.h5`, `.keras`) with a card beside them, or a card; None for random
            weights.
        include_top: Whether to end in the head, which gives concentrations, or the probabilities of classes or of
            redshift bins.
        input_shape: (H, W, C), where it differs from what the weights were trained on; H and W may be None.
        pooling: `avg`: (B, D), as it was trained; `max`: (B, D); None: feature maps (B, h, w, D).
        orientations: How many orientations of an image to average over: 8, 4, 2 or 1; by default 8 with the head, and
            1 without it, which is the bare encoder.
        noise: Per band, the sky noise of flux images, if not that of the survey it was trained on.
        encoder: Architecture (see `build_encoder`), where `weights` is None or `imagenet`.
        mixed_precision: Whether the encoder computes in bfloat16, and gives that too if it is returned bare; its
            weights, the mean over orientations and the head remain float32.

    Returns:
        (B, H, W, C) → (B, D), (B, h, w, D), or the outputs of the head.

    Raises:
        ValueError: No such weights; they are damaged or do not fit their card; or they have no such top or pooling.
        FileNotFoundError: There are no weights or no card at this path.
        OSError: The weights could not be fetched.
    """
    check_keras()
    if include_top and (weights is None or pooling != "avg"):
        raise ValueError("include_top needs pretrained weights and pooling='avg': the head was trained on these")
    if weights == "imagenet":
        weights = f"{encoder}_imagenet"
    if orientations is None:
        orientations = 8 if include_top else 1
    if weights is None:
        with precision(mixed_precision):
            body, head = build_encoder(encoder, input_shape or (None, None, 3), noise=noise), None
    else:
        path = find_card(weights)
        card = Card.open(path)
        body, head = _load(card, _checked_weights(card, path), input_shape or card.input_shape, mixed_precision)
        if include_top and head is None:
            raise ValueError(f"{card.name} is an encoder without a head: include_top=False")
        with precision(mixed_precision):
            body = _with_bands(body, card, (input_shape or card.input_shape)[2], noise)
    body = _pooled(body, pooling)
    if orientations == 1 and not include_top:
        return guarded.Functional(body.input, body.output, name=body.name)
    if pooling is None:
        raise ValueError("feature maps of different orientations have no mean: pooling='avg', or orientations=1")
    top = [head] if include_top else []
    return guarded.Sequential([keras.Input(body.input_shape[1:]), *any_way_up(body, orientations), *top])


def _checked_weights(card: Card, path: Path) -> Path:
    """The weights of a card, downloaded if necessary, once their hash is right."""
    file = weights_beside(path)
    if file is None:
        if card.url is None:
            raise FileNotFoundError(f"there are no weights beside {path}")
        file = _fetched(card, card.url)
    if sha256_of(file) != card.sha256:
        raise ValueError(f"{file} is damaged or not what its card describes (the sha256 differs): get it again")
    return file


def _fetched(card: Card, url: str) -> Path:
    """The weights from their address, kept by Keras (`~/.keras`, or `KERAS_HOME`)."""
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"the card of {card.name} has an address that is not on the web: {url}")
    name = f"{card.sha256[:16]}.{'keras' if url.endswith('.keras') else 'weights.h5'}"
    try:
        file = keras.utils.get_file(
            name, url, cache_subdir="morphtools", file_hash=card.sha256, hash_algorithm="sha256"
        )
    except ValueError as error:
        raise ValueError(f"the download of {url} has another sha256 than the card of {card.name}") from error
    except Exception as error:  # Keras raises a plain Exception for any problem of the network
        raise OSError(f"cannot fetch the weights of {card.name}: {error}") from error
    return Path(file)


def _load(card: Card, file: Path, input_shape, mixed_precision: bool) -> tuple[keras.Model, layers.Layer | None]:
    """The encoder, for the bands it was trained on, and the head."""
    try:
        check_weights(file)
        with precision(mixed_precision):
            body = build_encoder(input_shape=(*input_shape[:2], len(card.bands)), **card.encoder)
        answer = card.question()
        if answer is None:
            whole, head = body, None
        else:
            head = head_for(answer, hidden=card.hidden)
            whole = keras.Sequential([keras.Input(body.input_shape[1:]), *any_way_up(body), head])
        whole.load_weights(file)
    except Exception as error:  # any problem of the file or the card, in one line
        reason = str(error).strip().split("\n")[0].partition(" Example error message")[0]
        raise ValueError(f"the weights in {file} do not fit the model that their card describes: {reason}") from error
    return body, head


def _with_bands(body: keras.Model, card: Card, bands: int, noise) -> keras.Model:
    """The encoder for another number of bands, or with the noise of another survey."""
    if bands == len(card.bands) and noise is None:
        return body
    if noise is not None and card.range != "flux":
        raise ValueError(f"{card.name} takes pictures, not flux: noise cannot be given")
    if card.range == "flux" and noise is None:
        raise ValueError(f"{card.name} takes flux: with {bands} bands it needs the noise of each, noise=(…)")
    arguments = card.encoder | ({"noise": tuple(noise)} if noise is not None else {})
    other = build_encoder(input_shape=(*body.input_shape[1:3], bands), **arguments)
    for old, new in zip(body.weights, other.weights, strict=True):
        new.assign(old if old.shape == new.shape else _over_bands(old, new.shape))
    return other


def _over_bands(weight, shape):
    """Weights whose one axis of bands has another length: their mean, the same for every band."""
    (axis,) = (i for i, (n, m) in enumerate(zip(weight.shape, shape, strict=True)) if n != m)
    mean = ops.mean(weight, axis=axis, keepdims=True)
    scale = weight.shape[axis] / shape[axis] if len(shape) == 4 else 1.0  # kernels sum over bands
    return ops.repeat(mean * scale, shape[axis], axis=axis)


def _pooled(body: keras.Model, pooling: str | None) -> keras.Model:
    if pooling == "avg":
        return body
    if pooling not in ("max", None):
        raise ValueError(f"pooling must be 'avg', 'max' or None, got {pooling!r}")
    average = max(i for i, layer in enumerate(body.layers) if isinstance(layer, layers.GlobalAveragePooling2D))
    output = body.layers[average].input
    if pooling == "max":
        output = layers.GlobalMaxPooling2D(name="max_pool")(output)
        for layer in body.layers[average + 1 :]:
            output = layer(output)
    return keras.Model(body.input, output, name=body.name)
