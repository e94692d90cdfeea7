"""The small networks trained and converted: on Fashion-MNIST for the benchmark, on digits for tests; and a hard one."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from edgedeploy.graph import Graph
from edgedeploy.progress import SILENT, Progress
from int8_nets.conversion import graph_of_module
from int8_nets.labelled import LabelledSplit
from int8_nets.small_nets import Bottleneck, SmallNet
from int8_nets.training import TrainingPlan, trained_net

FASHION_PLAN = TrainingPlan(epochs=10, mirror=True, shift_pixels=1)
"""Four to five minutes a network on one thread of a busy machine."""
DIGITS_PLAN = TrainingPlan(epochs=15, shift_pixels=2)
"""Half a minute."""

HARD_OCTAVES = 5
_HARD_SEED = 31


def small_graph(which: SmallNet, split: LabelledSplit, plan: TrainingPlan, *, progress: Progress = SILENT) -> Graph:
    """Return a trained network, float32; input ``in0``, output ``out0`` (10 logits). Training happens once."""
    return graph_of_module(trained_net(which, split.train, plan, progress=progress), split.train, progress=progress)


def hard_graph(split: LabelledSplit, plan: TrainingPlan, *, progress: Progress = SILENT) -> Graph:
    """Return the network with ReLU, its channels rescaled so that they differ by up to 2^10; it computes the same."""
    net = trained_net(SmallNet.MOBILENETV2_RELU, split.train, plan, progress=progress)
    return graph_of_module(with_uneven_channels(net, _HARD_SEED), split.train, progress=progress)


def with_uneven_channels(net: nn.Module, seed: int) -> nn.Module:
    """Multiply each channel between two layers by a random factor, and divide the reader's weights by it.

    Factors are 2^-5 to 2^5, their logarithm uniform. ReLU and the mean over an image let a positive factor through, so
    the network computes what it did.

    Args:
        net: Of ``build_small_net(SmallNet.MOBILENETV2_RELU)``, in evaluation mode; changed in place.
        seed: Of the factors.

    Returns:
        The network.
    """
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for block in net:
            if isinstance(block, Bottleneck):
                block.filter[0].weight.div_(_scale(block.expand[1], random).reshape(-1, 1, 1, 1))
                block.project[0].weight.div_(_scale(block.filter[1], random).reshape(1, -1, 1, 1))
        net[-1].weight.div_(_scale(net[-4][1], random))
    return net


def _scale(norm: nn.BatchNorm2d, random: np.random.Generator) -> torch.Tensor:
    """Multiply a norm's output by random factors, one a channel, and return them."""
    octaves = random.uniform(-HARD_OCTAVES, HARD_OCTAVES, norm.num_features)
    factors = torch.from_numpy(np.exp2(octaves).astype(np.float32))
    norm.weight.mul_(factors)
    norm.bias.mul_(factors)
    return factors
