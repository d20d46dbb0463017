"""The peer's half of `contrastive_vs_lightly.py`: lightly's MoCo, timed. Runs in lightly's environment.

Network, projection, momentum update, batch shuffle, memory bank and optimizer as in lightly's own MoCo example, but
without any augmentation: both views are the same tensor, already in memory. Prints one line of JSON. The environment,
with a PyTorch built for the CPU:

    pip install torch torchvision
    pip install --no-deps lightly==1.6.0 lightly-utils
    pip install numpy pillow tqdm pyyaml requests
"""

import copy
import json
import sys
import time
from importlib.metadata import version

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

from lightly.loss import NTXentLoss
from lightly.models.modules import MoCoProjectionHead
from lightly.models.utils import batch_shuffle, batch_unshuffle, deactivate_requires_grad, update_momentum


def main(encoder: str, side: int, batch_size: int, steps: int, queue: int, bfloat16: int):
    torch.manual_seed(0)
    network = getattr(torchvision.models, encoder)()
    width = network.fc.in_features
    backbone = torch.nn.Sequential(*list(network.children())[:-1])
    head = MoCoProjectionHead(width, width, 128)
    backbone_momentum, head_momentum = copy.deepcopy(backbone), copy.deepcopy(head)
    deactivate_requires_grad(backbone_momentum)
    deactivate_requires_grad(head_momentum)
    criterion = NTXentLoss(temperature=0.1, memory_bank_size=(queue, 128))
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.03, momentum=0.9)
    images = torch.rand(batch_size, 3, side, side)

    def step():
        update_momentum(backbone, backbone_momentum, m=0.999)
        update_momentum(head, head_momentum, m=0.999)
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(bfloat16)):
            query = head(backbone(images).flatten(start_dim=1))
            with torch.no_grad():
                shuffled, order = batch_shuffle(images)
                key = batch_unshuffle(head_momentum(backbone_momentum(shuffled).flatten(start_dim=1)), order)
        loss = criterion(query.float(), key.detach().float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(2):
        step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    rate = steps * batch_size / (time.perf_counter() - start)
    print(json.dumps({"images_per_second": rate, "lightly": version("lightly"), "torch": torch.__version__}))


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:]))
