"""Head-only fine-tuning against zoobot: the same galaxies, size, architecture and number of epochs, in one run.

    python benchmarks/finetune_vs_zoobot.py --zoobot-python ENV/bin/python --catalog galaxies.csv --images jpegs/

`peers/zoobot_head_only.py` says how to make zoobot's environment. Both start from random weights and are timed after
their imports. Ours is the whole of `finetune`: records, representations, head, and the test galaxies, scores and
figures, which zoobot's fit does not include. zoobot runs its encoder on every galaxy in every epoch, on new random
views; ours once, in eight orientations: that is the point, and also the difference.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

TIMM = {"efficientnet_b0": "efficientnet_b0", "mobilenet_v3_small": "mobilenetv3_small_100", "resnet18": "resnet18"}


def ours(options, out: Path) -> float:
    """Seconds of `finetune`, in a process of its own."""
    code = "import json, sys, time, keras, morphtools; morphtools.finetune; options = json.loads(sys.argv[1]);"
    code += "start = time.perf_counter(); morphtools.finetune(**options); print(time.perf_counter() - start)"
    arguments = {
        "labels": options.labels,
        "catalog": options.catalog,
        "images": options.images,
        "column": options.column,
        "weights": "random",
        "encoder": options.encoder,
        "orientations": options.orientations,
        "image_size": options.image_size,
        "epochs": options.epochs,
        "out": str(out),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)], check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def zoobot(options, run: Path, folder: Path) -> dict:
    """What zoobot takes to fit the galaxies that `run` was trained and validated on."""
    from morphtools.answers.drawing import draw_classes
    from morphtools.survey.tasks import get_task, task_labels
    from tfrecords_builder.catalog import read_catalog

    catalog, task = read_catalog(options.catalog), get_task("rings")
    catalog["label"] = task_labels(task, catalog, options.column)[0]
    drawn = draw_classes(catalog, options.labels, test_labels=2000, classes=task.classes, seed=0)
    drawn["file_loc"] = [str(Path(options.images) / name) for name in drawn["file_loc"]]
    for split in ("train", "val"):
        drawn[drawn["split"] == split][["id_str", "file_loc", "label"]].to_csv(folder / f"{split}.csv", index=False)
    peer = Path(__file__).parent / "peers" / "zoobot_head_only.py"
    sizes = [str(options.image_size), str(options.epochs), str(options.workers)]
    tables = [str(folder / "train.csv"), str(folder / "val.csv")]
    command = [options.zoobot_python, str(peer), TIMM[options.encoder], *tables, *sizes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


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
    parser.add_argument("--workers", type=int, default=0, help="of zoobot's loader; 0 was fastest on two cores")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn in ("first", "second"):  # ours before and after zoobot, in case the machine changes its pace
            seconds = ours(options, folder / turn)
            rows.append({"": f"morphtools ({turn})", "seconds": seconds})
            print(f"morphtools: {seconds:.1f} s", flush=True)
            if turn == "first":
                peer = zoobot(options, folder / turn, folder)
                print(f"zoobot: {peer['seconds']:.1f} s", flush=True)
                rows.append({"": f"zoobot {peer['zoobot']}", "seconds": peer["seconds"]})
        splits = json.loads((folder / "first" / "metrics.json").read_text())["galaxies"]
    table = pd.DataFrame(rows)
    table["zoobot takes … times as long"] = peer["seconds"] / table["seconds"]
    print(
        f"\n{options.encoder}, {splits['train']} + {splits['val']} galaxies (and ours tests {splits['test']}), "
        f"{options.image_size} px, {options.orientations} orientations, {options.epochs} epochs, head only"
    )
    print(table.round(1).to_string(index=False))


if __name__ == "__main__":
    main()
