"""The peer's half of `augmentations.py`: galaxy-datasets' default views, by torchvision v2, timed in its environment.

Prints one line of JSON. The environment is that of `lightly_learners.py`, and:

    pip install --no-deps galaxy-datasets==0.0.25
    pip install omegaconf
"""

import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

try:
    import torchvision
except (RuntimeError, AttributeError):
    # A torchvision built for CUDA cannot load its operators beside a PyTorch for the CPU, and then misses the
    # declarations of two that nothing here calls.
    for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision


def load(name: str):
    """One module of galaxy-datasets, without its package, which imports all that its loaders need."""
    folder = next(Path(p) / "galaxy_datasets" for p in sys.path if (Path(p) / "galaxy_datasets").is_dir())
    spec = importlib.util.spec_from_file_location(f"galaxy_datasets.{name}", folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"galaxy_datasets.{name}"] = module
    spec.loader.exec_module(module)
    return module


def main(side: int, images: int):
    from PIL import Image

    torch.set_num_threads(1)
    load("transforms_custom_torchvision")
    transforms = load("transforms")
    config = transforms.default_view_config()
    config.output_size = side
    view = transforms.get_galaxy_transform(config)
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype("uint8")
    galaxy = Image.fromarray(pixels)  # what its dataset hands over
    for _ in range(5):
        view(galaxy)
    start = time.perf_counter()
    for _ in range(images):
        view(galaxy)
    rate = images / (time.perf_counter() - start)
    print(json.dumps({"images_per_second": rate, "torchvision": torchvision.__version__ if torchvision else ""}))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
