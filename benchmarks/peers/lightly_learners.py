"""The peer's half of `contrastive_vs_lightly.py`: lightly's MoCo or BYOL, timed. Runs in lightly's environment.

Networks, heads, momentum update, batch shuffle, memory bank and optimizer as in lightly's own examples (BYOL's heads as
wide as ours), but without any augmentation: both views are the same tensor, already in memory. Prints one line of JSON.
The environment, with a PyTorch built for the CPU:

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

from lightly.loss import NegativeCosineSimilarity, NTXentLoss
from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead, MoCoProjectionHead
from lightly.models.utils import batch_shuffle, batch_unshuffle, deactivate_requires_grad, update_momentum


def networks(encoder: str, head):
    """An encoder and its head (a function of its width), and copies of both that follow."""
    network = getattr(torchvision.models, encoder)()
    online = torch.nn.Sequential(*list(network.children())[:-1], torch.nn.Flatten()), head(network.fc.in_features)
    following = copy.deepcopy(online)
    for each in following:
        deactivate_requires_grad(each)
    return *online, *following


def moco(encoder: str, queue: int):
    """What has parameters, and the loss of a batch."""
    backbone, head, backbone_momentum, head_momentum = networks(encoder, lambda n: MoCoProjectionHead(n, n, 128))
    criterion = NTXentLoss(temperature=0.1, memory_bank_size=(queue, 128))

    def loss(images, half):
        update_momentum(backbone, backbone_momentum, m=0.999)
        update_momentum(head, head_momentum, m=0.999)
        with half:
            query = head(backbone(images))
            with torch.no_grad():
                shuffled, order = batch_shuffle(images)
                key = batch_unshuffle(head_momentum(backbone_momentum(shuffled)), order)
        return criterion(query.float(), key.detach().float())

    return (backbone, head), loss


def byol(encoder: str, queue: int):
    """As `moco`; there is no queue."""
    backbone, head, backbone_momentum, head_momentum = networks(encoder, lambda n: BYOLProjectionHead(n, 4096, 256))
    predictor, criterion = BYOLPredictionHead(256, 4096, 256), NegativeCosineSimilarity()

    def loss(images, half):
        update_momentum(backbone, backbone_momentum, m=0.996)
        update_momentum(head, head_momentum, m=0.996)
        with half:
            predicted = [predictor(head(backbone(view))) for view in (images, images)]
            with torch.no_grad():
                targets = [head_momentum(backbone_momentum(view)) for view in (images, images)]
        return sum(criterion(p.float(), t.float()) for p, t in zip(predicted, targets[::-1], strict=True)) / 2

    return (backbone, head, predictor), loss


def main(learner: str, encoder: str, side: int, batch_size: int, steps: int, queue: int, bfloat16: int):
    torch.manual_seed(0)
    trained, loss_of = {"moco": moco, "byol": byol}[learner](encoder, queue)
    optimizer = torch.optim.SGD([weight for each in trained for weight in each.parameters()], lr=0.03, momentum=0.9)
    images = torch.rand(batch_size, 3, side, side)

    def step():
        loss = loss_of(images, torch.autocast("cpu", torch.bfloat16, enabled=bool(bfloat16)))
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
    main(*sys.argv[1:3], *(int(argument) for argument in sys.argv[3:]))
