"""The small networks: training repeats and is kept, and rescaled channels compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from int8_nets import training
from int8_nets.labelled import LabelledImages
from int8_nets.small_graphs import with_uneven_channels
from int8_nets.small_nets import IMAGE_SHAPE, Bottleneck, SmallNet, build_small_net
from int8_nets.training import TrainingPlan, train, trained_weights

PLAN = TrainingPlan(epochs=1, batch=16, mirror=True, shift_pixels=1)


def stripes(count: int) -> LabelledImages:
    """Images whose class is where their bright row is."""
    labels = np.arange(count) % 10
    pixels = np.zeros((count, 28, 28), np.uint8)
    pixels[np.arange(count), 2 * labels + 4] = 255
    return LabelledImages(pixels=pixels, labels=labels.astype(np.uint8))


@pytest.mark.parametrize("which", list(SmallNet))
def test_nets_have_ten_outputs_and_few_weights(which: SmallNet) -> None:
    net = build_small_net(which).eval()
    with torch.no_grad():
        assert net(torch.zeros(IMAGE_SHAPE)).shape == (1, 10)
    assert 30_000 < sum(value.numel() for value in net.parameters()) < 80_000


def test_training_repeats_and_the_weights_are_kept(own_directories: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = stripes(48)
    first = trained_weights(SmallNet.MOBILENETV2, data, PLAN)
    second = train(SmallNet.MOBILENETV2, data, PLAN).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    monkeypatch.setattr(training, "train", None)
    kept = trained_weights(SmallNet.MOBILENETV2, data, PLAN)
    assert all(torch.equal(value, kept[name]) for name, value in first.items())
    # Other data are another training.
    with pytest.raises(TypeError):
        trained_weights(SmallNet.MOBILENETV2, stripes(49), PLAN)


def test_training_learns() -> None:
    data = stripes(160)
    net = train(SmallNet.MOBILENETV2_RELU, data, TrainingPlan(epochs=6, batch=16))
    with torch.no_grad():
        found = net(torch.from_numpy(training.normalise(data.pixels))).argmax(1).numpy()
    assert (found == data.labels).mean() > 0.9


def test_uneven_channels_compute_the_same() -> None:
    torch.manual_seed(1)
    net = build_small_net(SmallNet.MOBILENETV2_RELU)
    images = torch.randn(8, *IMAGE_SHAPE[1:])
    with torch.no_grad():
        net(images)
        net.eval()
        before = net(images)
        filtered = next(block for block in net if isinstance(block, Bottleneck)).expand
        ranges_before = filtered(net[0](images)).amax(dim=(0, 2, 3))
        with_uneven_channels(net, 7)
        ranges_after = filtered(net[0](images)).amax(dim=(0, 2, 3))
        assert torch.allclose(net(images), before, atol=1e-4)
    factors = ranges_after[ranges_before > 0] / ranges_before[ranges_before > 0]
    assert factors.max() / factors.min() > 100
