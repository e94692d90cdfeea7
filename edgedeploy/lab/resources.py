"""What a labgrid coordinator says, as plain values: its address, places, resources. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgedeploy.errors import PlaceResourceError, UsageError

DEFAULT_PORT = 20408
NETWORK_SERVICE = "NetworkService"


@dataclass(frozen=True, kw_only=True)
class ResourcePath:
    """``exporter/group/class/name``, which is how places name what they have acquired."""

    exporter: str
    group: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.exporter}/{self.group}/{self.kind}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource of an exporter.

    Args:
        values: Those of its configuration, passwords among them.
        extra: What the exporter added.
    """

    path: ResourcePath
    online: bool
    values: Mapping[str, Any] = field(repr=False)
    extra: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class NetworkService:
    """Where a place's board answers SSH. The password is never shown."""

    address: str
    port: int
    user: str
    password: str | None = field(repr=False)


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of a coordinator's ``ADDRESS[:PORT]``; an IPv6 address with a port stands in brackets.

    Example:
        >>> parse_address("lab.example")
        ('lab.example', 20408)

    Raises:
        UsageError: It is none.
    """
    host, port = text, str(DEFAULT_PORT)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{text!r} is not a coordinator's ADDRESS[:PORT]", hint="for example --coordinator lab:20408")
    return host, int(port)


def parse_path(text: str) -> ResourcePath | None:
    """Return a resource's path, None where a place has something else."""
    parts = text.split("/")
    if len(parts) != 4:
        return None
    return ResourcePath(exporter=parts[0], group=parts[1], kind=parts[2], name=parts[3])


def network_service(place: str, acquired: Sequence[str], resources: Mapping[ResourcePath, Resource]) -> NetworkService:
    """Return the one network service of an acquired place.

    Args:
        place: Its name, for the errors.
        acquired: The paths of the resources that it has acquired.
        resources: What the exporters offer now.

    Raises:
        PlaceResourceError: It has none that is online, several, or one that only its exporter's proxy can reach.
    """
    paths = [path for text in acquired if (path := parse_path(text)) is not None]
    services = [path for path in paths if path.kind == NETWORK_SERVICE]
    if len(services) != 1:
        has = ", ".join(map(str, services or paths)) or "nothing that an exporter offers now"
        raise PlaceResourceError(
            f"the place {place} needs one {NETWORK_SERVICE}, but has {has}",
            hint=f"labgrid-client -p {place} show; add-match and del-match change what it has",
        )
    resource = resources.get(services[0])
    if resource is None or not resource.online:
        raise PlaceResourceError(
            f"the exporter of {services[0]} is not online", hint="start labgrid-exporter there, then run it again"
        )
    if resource.extra.get("proxy_required"):
        raise PlaceResourceError(
            f"{services[0]} can be reached through the exporter's proxy only, which edgedeploy does not use",
            hint="run the command on the exporter's machine, or export the service without --isolated",
        )
    return _service(resource)


def _service(resource: Resource) -> NetworkService:
    values = resource.values
    address, user, port, password = (values.get(key) for key in ("address", "username", "port", "password"))
    port = 22 if port is None else port
    if not (isinstance(address, str) and address and isinstance(user, str) and user):
        raise PlaceResourceError(
            f"{resource.path} names no address and username", hint="add them to the exporter's configuration"
        )
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        raise PlaceResourceError(
            f"the port of {resource.path} is {port!r}", hint="correct it in the exporter's configuration"
        )
    return NetworkService(
        address=address, port=port, user=user, password=password if isinstance(password, str) else None
    )
