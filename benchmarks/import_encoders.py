"""Compares imported encoders with the originals in PyTorch, for every architecture that can be imported.

    python benchmarks/import_encoders.py --timm-python ENV/bin/python
    KERAS_BACKEND=jax python benchmarks/import_encoders.py --timm-python ENV/bin/python

`peers/timm_encoders.py` describes timm's environment. Pictures are of 224 and of 97 pixels; the difference is
the largest of any number of two representations, beside the scatter of these numbers.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

NAMES = (
    *("resnet18", "resnet50", "resnet101", "efficientnet_b0", "tf_efficientnet_b0", "efficientnet_lite0"),
    *("tf_efficientnet_lite0", "tf_efficientnet_lite2", "convnext_pico", "convnext_nano", "convnext_tiny"),
    *(
        "convnext_small",
        "convnext_base",
        "grey_convnext_nano",
        "grey_resnet50",
        "ugriz_convnext_nano",
        "ugriz_resnet50",
    ),
    *("published_efficientnet_lite0", "published_efficientnet_lite2"),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timm-python", required=True)
    parser.add_argument("names", nargs="*", default=NAMES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).parent / "peers" / "timm_encoders.py"
        subprocess.run([options.timm_python, script, folder, *options.names], check=True)
        for name in options.names:
            for file in sorted(
                p for p in (Path(folder) / name).iterdir() if p.suffix in (".safetensors", ".bin", ".pth")
            ):
                compare(name, file, Path(folder))


def compare(name: str, file: Path, folder: Path) -> None:
    import keras
    import numpy as np

    from morphtools import import_weights, load_pretrained

    bands = tuple("ugriz") if name.startswith("ugriz_") else None
    out = import_weights(file, folder / f"imported-{name}-{file.suffix}", bands=bands)
    found, words = np.load(file.parent / "features.npz"), []
    for side in (224, 97):
        got = load_pretrained(out, input_shape=found[f"x{side}"].shape[1:]).predict(found[f"x{side}"], verbose=0)
        expected = found[f"y{side}"]
        words.append(f"{side} px {np.abs(got - expected).max():.1e} (scatter {expected.std():.2f})")
    print(f"{keras.backend.backend():<11}{name:<30}{file.name:<20}{', '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
