"""The peer's half of `finetune_vs_zoobot.py`: zoobot's own head-only fine-tuning, timed. Runs in zoobot's environment.

Its data module, default training transforms, default head and optimizer, and its own trainer with early stopping out of
reach. Prints one line of JSON. The environment, with a PyTorch built for the CPU:

    pip install torch torchvision
    pip install --no-deps zoobot==2.9.0 galaxy-datasets==0.0.25
    pip install pandas scipy pillow pyarrow scikit-learn astropy tqdm requests omegaconf datasets torchmetrics \
        "lightning==2.6.6" "timm==1.0.31"
"""

import json
import sys
import tempfile
import time
from importlib.metadata import version

import pandas as pd
import torch

try:
    import torchvision  # noqa: F401
except (RuntimeError, AttributeError):
    # A torchvision built for CUDA cannot load its operators beside a PyTorch for the CPU, and then misses the
    # declarations of two that no transform here calls.
    for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm
from galaxy_datasets import transforms
from galaxy_datasets.pytorch.galaxy_datamodule import CatalogDataModule
from zoobot.pytorch.training import finetune


def main(encoder: str, train_csv: str, val_csv: str, image_size: int, epochs: int, workers: int):
    train, val = (pd.read_csv(path, dtype={"id_str": str}) for path in (train_csv, val_csv))
    views = transforms.default_view_config(), transforms.minimal_view_config()
    for view in views:
        view.output_size = image_size
    data = CatalogDataModule(
        label_cols=["label"],
        train_catalog=train,
        val_catalog=val,
        train_transform=transforms.get_galaxy_transform(views[0]),
        test_transform=transforms.get_galaxy_transform(views[1]),
        batch_size=32,
        num_workers=workers,
        seed=0,
    )
    network = timm.create_model(encoder, pretrained=False, num_classes=0)
    network.num_features = network.head_hidden_size  # of MobileNetV3 not the same, and zoobot asks for the former
    model = finetune.FinetuneableZoobotClassifier(
        encoder=network,
        num_classes=2,
        label_col="label",
        training_mode="head_only",
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = finetune.get_trainer(
            save_dir=folder,
            max_epochs=epochs,
            min_epochs=epochs,
            patience=epochs + 1,
            accelerator="cpu",
            devices=1,
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        start = time.perf_counter()
        trainer.fit(model, data)
        seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "epochs": trainer.current_epoch, "zoobot": version("zoobot")}))


if __name__ == "__main__":
    main(*sys.argv[1:4], *(int(argument) for argument in sys.argv[4:]))
