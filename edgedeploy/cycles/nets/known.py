"""The reference networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgedeploy.cycles.nets.builder import ReferenceNet
from edgedeploy.cycles.nets.mobilenets import mobilenet_v1, mobilenet_v2
from edgedeploy.cycles.nets.resnet import resnet18
from edgedeploy.cycles.nets.squeezenet import squeezenet
from edgedeploy.errors import UsageError, close_matches

_NETS: Mapping[str, Callable[[], ReferenceNet]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "resnet18": resnet18,
    "squeezenet": squeezenet,
}

REFERENCE_NAMES = tuple(_NETS)


def reference_net(name: str) -> ReferenceNet:
    """Build a network; the same name gives the same bytes.

    Example:
        >>> reference_net("mobilenet_v1").macs
        568740352

    Raises:
        UsageError: There is none of that name.
    """
    if name not in _NETS:
        raise UsageError(f"there is no reference network {name!r}", hint=close_matches(name, REFERENCE_NAMES))
    return _NETS[name]()
