"""Trains the small networks on one thread, and keeps the weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from edgedeploy.artifacts import canonical_json
from edgedeploy.paths import cache_dir
from edgedeploy.progress import SILENT, Progress, Task
from int8_nets import small_nets
from int8_nets.labelled import LabelledImages, normalise
from int8_nets.small_nets import SmallNet, build_small_net


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How a network is trained.

    Args:
        epochs: Passes over the data.
        batch: Images a step.
        learning_rate: The highest, in a cycle that rises and falls once.
        weight_decay: Of AdamW.
        shift_pixels: Images are moved by up to so much in both directions.
        mirror: Whether half of the images are mirrored left to right.
        seed: Of the initial weights and of every random choice.
    """

    epochs: int
    batch: int = 128
    learning_rate: float = 8e-3
    weight_decay: float = 1e-2
    shift_pixels: int = 0
    mirror: bool = False
    seed: int = 0


def trained_weights(
    which: SmallNet, data: LabelledImages, plan: TrainingPlan, *, progress: Progress = SILENT
) -> dict[str, torch.Tensor]:
    """Return a network's trained state, from the cache where the same training was done before.

    Args:
        data: To train on.

    Returns:
        A state dict for ``build_small_net(which)``.
    """
    path = cache_dir() / "benchmarks" / f"{which.value}-{_fingerprint(which, data, plan)}.pt"
    if path.is_file():
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    state = {name: value.clone() for name, value in train(which, data, plan, progress=progress).state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as name:
        made = Path(name) / path.name
        torch.save(state, made)
        made.rename(path)
    return state


def trained_net(which: SmallNet, data: LabelledImages, plan: TrainingPlan, *, progress: Progress = SILENT) -> nn.Module:
    """Return a network in evaluation mode; see ``trained_weights``."""
    net = build_small_net(which)
    net.load_state_dict(trained_weights(which, data, plan, progress=progress))
    return net.eval()


def train(which: SmallNet, data: LabelledImages, plan: TrainingPlan, *, progress: Progress = SILENT) -> nn.Module:
    """Train a network on one thread and return it in evaluation mode. The same machine gives the same weights."""
    with _one_thread():
        torch.manual_seed(plan.seed)
        net = build_small_net(which).to(memory_format=torch.channels_last)
        images = torch.from_numpy(normalise(data.pixels))
        labels = torch.from_numpy(data.labels.astype("int64"))
        with progress.task(f"Training {which.value} on {len(data)} images") as task:
            _run_epochs(net, images, labels, plan, task)
    return net.eval()


def _run_epochs(net: nn.Module, images: torch.Tensor, labels: torch.Tensor, plan: TrainingPlan, task: Task) -> None:
    steps = plan.epochs * (len(labels) // plan.batch)
    optimizer = torch.optim.AdamW(net.parameters(), plan.learning_rate, weight_decay=plan.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.learning_rate, total_steps=steps, pct_start=0.25)
    net.train()
    done = 0
    for _ in range(plan.epochs):
        order = torch.randperm(len(labels))
        # An incomplete last batch is left out: the norms would take its few images for the whole.
        for chosen in order[: len(order) // plan.batch * plan.batch].split(plan.batch):
            batch = _altered(images[chosen], plan).contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(batch), labels[chosen])
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            task.update(done, steps, f"loss {loss.item():.3f}")


def _altered(images: torch.Tensor, plan: TrainingPlan) -> torch.Tensor:
    """Mirror half of the images and move the batch a little, both at random."""
    if plan.mirror:
        mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
        images = torch.where(mirrored, images.flip(3), images)
    if plan.shift_pixels:
        reach = plan.shift_pixels
        down, right = torch.randint(0, 2 * reach + 1, (2,)).tolist()
        side = images.shape[-1]
        padded = nn.functional.pad(images, (reach, reach, reach, reach), mode="replicate")
        images = padded[..., down : down + side, right : right + side]
    return images


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train on one thread, tiny numbers as zero: on small networks faster than on two, and always the same result."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


def _fingerprint(which: SmallNet, data: LabelledImages, plan: TrainingPlan) -> str:
    """Return a hash of all that the weights depend on: the sources, the data and the plan."""
    digest = hashlib.sha256(canonical_json({"net": which.value, "plan": asdict(plan), "torch": torch.__version__}))
    for source in (small_nets.__file__, __file__):
        digest.update(Path(source).read_bytes())
    digest.update(normalise(data.pixels[:1]).tobytes())
    digest.update(data.pixels.tobytes())
    digest.update(data.labels.tobytes())
    return digest.hexdigest()[:24]
