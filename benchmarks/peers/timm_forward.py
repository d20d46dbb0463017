"""The peer's half of `forward_pass.py`: networks of timm, timed. Runs in an environment with `pip install torch timm`.

In float32, in PyTorch's own layout of memory and channels-last, and under autocast to bfloat16. Prints JSON.
"""

import json
import sys
import time

import timm
import torch


def main(side: int, batch: int, batches: int, *names: str):
    torch.manual_seed(0)
    rates = {"timm": timm.__version__, "torch": torch.__version__}
    for name in names:
        for kind in ("float32", "float32, channels-last", "bfloat16, channels-last"):
            layout = torch.channels_last if "last" in kind else torch.contiguous_format
            network = timm.create_model(name, num_classes=0).eval().to(memory_format=layout)
            images = torch.rand(batch, 3, side, side).to(memory_format=layout)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=kind.startswith("bfloat16")):
                network(images), network(images)
                start = time.perf_counter()
                for _ in range(batches):
                    network(images)
                rates[f"{name} {kind}"] = batch * batches / (time.perf_counter() - start)
    print(json.dumps(rates))


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:4]), *sys.argv[4:])
