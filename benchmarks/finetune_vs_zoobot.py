"""Compares head-only fine-tuning with zoobot: the same galaxies, size and architecture.

    python benchmarks/finetune_vs_zoobot.py --zoobot-python ENV/bin/python --catalog galaxies.csv --images jpegs/

`peers/zoobot_head_only.py` describes zoobot's environment. Both start from random weights and are timed after
their imports. Ours is all of `finetune`: records, representations and head, and also test, scores and figures, which
zoobot's fit does not include. zoobot runs its encoder on new random views of every galaxy in every epoch, ours once on
eight orientations. This is why ours is faster, and also a difference in what is trained.

With `--to-auc` both start from EfficientNet-Lite0 with its published weights from ImageNet (zoobot's own encoders need
the network), and zoobot stops at the epoch whose test AUC reaches ours, when that has not risen for 15 epochs, or after
`--epochs`; testing costs it nothing. Where it does not reach our AUC, the ratio is a lower bound.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rows import ask, report

TIMM = {"efficientnet_b0": "efficientnet_b0", "mobilenet_v3_small": "mobilenetv3_small_100", "resnet18": "resnet18"}


def ours(options, out: Path) -> float:
    """Seconds of `finetune`, in a process of its own."""
    code = "import json, sys, time, keras, morphtools; morphtools.finetune; options = json.loads(sys.argv[1]);"
    code += "start = time.perf_counter(); morphtools.finetune(**options); print(time.perf_counter() - start)"
    names = ("labels", "catalog", "images", "column", "orientations", "image_size")
    arguments = {"task": "rings", **{name: getattr(options, name) for name in names}, "out": str(out)}
    if options.to_auc:
        arguments["weights"] = "efficientnet_lite0_imagenet"
    else:
        arguments |= {"weights": "random", "encoder": options.encoder, "epochs": options.epochs}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)], check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout.split()[-1])


def zoobot(options, folder: Path, enough: float) -> dict:
    """What zoobot takes to fit the galaxies that ours was trained and validated on."""
    from morphtools.answers.drawing import draw_classes
    from morphtools.survey.tasks import get_task, task_labels
    from tfrecords_builder.catalog import read_catalog

    catalog, task = read_catalog(options.catalog), get_task("rings")
    catalog["label"] = task_labels(task, catalog, options.column)[0]
    drawn = draw_classes(catalog, options.labels, test_labels=2000, classes=task.classes, seed=0)
    drawn["file_loc"] = [str(Path(options.images) / name) for name in drawn["file_loc"]]
    for split in ("train", "val", "test"):
        drawn[drawn["split"] == split][["id_str", "file_loc", "label"]].to_csv(folder / f"{split}.csv", index=False)
    arguments = [TIMM[options.encoder], folder / "train.csv", folder / "val.csv"]
    arguments += [options.image_size, options.epochs, options.workers]
    tested = [folder / "test.csv", enough] if options.to_auc else []
    return ask(options.zoobot_python, "zoobot_head_only.py", *arguments, *tested)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoobot-python", required=True)
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--images", required=True, help="a folder")
    parser.add_argument("--column", default="ring")
    parser.add_argument("--labels", type=int, default=350)
    parser.add_argument("--encoder", default="efficientnet_b0", choices=TIMM)
    parser.add_argument("--orientations", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--to-auc", action="store_true")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="of zoobot's loader; 0 was fastest on two cores")
    options = parser.parse_args()
    mine, theirs = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn in range(options.turns):
            mine.append(ours(options, folder / str(turn)))
            metrics = json.loads((folder / str(turn) / "metrics.json").read_text())
            theirs.append(zoobot(options, folder, metrics["test"]["auc"]["value"]))
    splits, seconds = metrics["galaxies"], [each["seconds"] for each in theirs]
    what = f"head on {splits['train']} + {splits['val']} galaxies of {options.image_size} px, seed 0"
    what += f" (ours tests {splits['test']} more)"
    if options.to_auc:
        tests, auc = theirs[-1]["tests"], metrics["test"]["auc"]["value"]
        seconds = [each["tests"][-1]["seconds"] for each in theirs]
        aucs = [test["auc"] for test in tests]
        note = f"zoobot's AUC after {len(aucs)} epochs: {aucs[-1]:.3f}"
        if max(aucs) < auc:
            note = f"a lower bound: zoobot's best AUC in {len(aucs)} epochs was {max(aucs):.3f}"
        report(
            f"EfficientNet-Lite0 from ImageNet, to AUC {auc:.3f}, {what}",
            f"zoobot {theirs[0]['zoobot']}",
            mine,
            seconds,
            "s",
            note,
        )
    else:
        what = f"{options.encoder}, {options.epochs} epochs, {what}"
        report(what, f"zoobot {theirs[0]['zoobot']}", mine, seconds)


if __name__ == "__main__":
    main()
