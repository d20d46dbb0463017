"""The commands that train: `train`, `pretrain` and `finetune`."""
