"""Places of a labgrid coordinator, over the protocol that its clients, exporters and coordinator speak (gRPC).

``docs/decisions/0008-labgrid-by-its-protocol.md`` says why not by its command or its client's classes.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from types import TracebackType
from typing import Any, Self

from edgedeploy.errors import LabUnreachableError, MissingToolError, PlaceBusyError, UnknownPlaceError, close_matches
from edgedeploy.lab.leases import ACQUIRE_DEADLINE_S, Note, holder, left_behind, noting
from edgedeploy.lab.resources import NetworkService, Resource, ResourcePath, network_service, parse_address
from edgedeploy.progress import Progress

CONNECT_DEADLINE_S = 10.0
CALL_DEADLINE_S = 30.0
_OPTIONS = (
    ("grpc.keepalive_time_ms", 7500),
    ("grpc.keepalive_timeout_ms", 10000),
    # The coordinator tells sessions apart by their connections, which gRPC would share within a process.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A place that is ours now. ``ours_before``: it was acquired by the same user on this host already."""

    place: str
    service: NetworkService
    ours_before: bool


class Coordinator:
    """A session with a coordinator; a context manager. May be used by several threads.

    Args:
        address: ``ADDRESS[:PORT]``.

    Raises:
        UsageError: The address is none.
        MissingToolError: labgrid is not installed.
        LabUnreachableError: Nothing answers there, or something that is no coordinator.
    """

    def __init__(self, address: str, *, deadline_s: float = CONNECT_DEADLINE_S) -> None:
        host, port = parse_address(address)
        self._grpc, self._messages, stubs = _labgrid()
        self._address = address
        self._where = f"{host}:{port}"
        _dial(host, port, address, deadline_s)
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._channel = self._grpc.insecure_channel(target, options=_OPTIONS)
        self._stub = stubs.CoordinatorStub(self._channel)
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._resources: dict[ResourcePath, Resource] = {}
        self._synced = threading.Event()
        self._fault = ""
        try:
            self._start(deadline_s)
        except BaseException:
            self.close()
            raise

    @property
    def identity(self) -> str:
        """How labgrid's own client would call us, so that both see whose a place is."""
        host = os.environ.get("LG_HOSTNAME") or socket.gethostname()
        return f"{host}/{os.environ.get('LG_USERNAME') or getpass.getuser()}"

    @contextmanager
    def place(self, name: str, *, progress: Progress) -> Iterator[Lease]:
        """Acquire a place during the block; it is released however the block ends.

        A place that the same user acquired on this host before is used, and left acquired; one that another command
        of theirs holds is busy.

        Args:
            name: The place's, or an alias of it.

        Raises:
            UnknownPlaceError: There is none.
            PlaceBusyError: Somebody else, or another command, has acquired or reserved it.
            PlaceResourceError: It has not the one network service that is needed.
            LabUnreachableError: The coordinator does not answer.
        """
        found = self._find(name)
        name, owner = found.name, found.acquired
        if owner and owner != self.identity:
            raise self._busy(name, owner)
        if owner:
            process = holder(self._where, name)
            if process is not None:
                raise self._busy(name, f"{owner}, by another edgedeploy (process {process})")
            progress.say(f"The place {name} was acquired by {owner} before; it stays so")
            yield Lease(place=name, service=self._service(found), ours_before=True)
            return
        note = Note(
            coordinator=self._where,
            place=name,
            identity=self.identity,
            changed=None,
            asked=time.time(),
            pid=os.getpid(),
        )
        with noting(progress) as pen, ExitStack() as stack:
            # Before it is asked for: a command that is killed meanwhile leaves a place that is known.
            pen.write(note)
            stack.callback(self._release, name, progress)
            try:
                self._acquire(name)
            except PlaceBusyError:
                # Another command of ours may have it.
                stack.pop_all()
                raise
            found = self._find(name)
            pen.write(replace(note, changed=found.changed))
            yield Lease(place=name, service=self._service(found), ours_before=False)

    def release_left_behind(self, progress: Progress) -> None:
        """Release what commands of this account hold that were killed; what was acquired anew since stays.

        Raises:
            LabUnreachableError: The coordinator does not answer.
        """
        for note in left_behind(self._where, self.identity):
            place = next((item for item in self._places() if item.name == note.place), None)
            if place is not None and place.acquired == note.identity and note.is_of(place.changed):
                progress.say(f"The place {note.place} was left acquired by a command that was killed: releasing it")
                self._release(note.place, progress)

    def close(self) -> None:
        """End the session; places stay as they are."""
        self._outgoing.put(None)
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, deadline_s: float) -> None:
        """Introduce ourselves, which acquiring needs, and take in what the exporters offer."""
        message = self._messages.ClientInMessage
        hello = message()
        hello.startup.version = metadata.version("labgrid")
        hello.startup.name = self.identity
        everything = message()
        everything.subscribe.all_resources = True
        sync = message()
        sync.sync.id = 1
        for item in (hello, everything, sync):
            self._outgoing.put(item)
        stream = self._stub.ClientStream(iter(self._outgoing.get, None))
        threading.Thread(target=self._listen, args=(stream,), name="labgrid", daemon=True).start()
        if not self._synced.wait(deadline_s) or self._fault:
            reason = self._fault or f"nothing for {deadline_s:g} s"
            raise LabUnreachableError(
                f"{self._address} does not answer as a labgrid coordinator: {reason}",
                hint="is that the coordinator's port, and is it of a labgrid with gRPC (24.0 or newer)?",
            )

    def _listen(self, stream: Any) -> None:
        try:
            for message in stream:
                for update in message.updates:
                    self._take(update)
                if message.HasField("sync"):
                    self._synced.set()
        except self._grpc.RpcError as error:
            self._fault = _details(error)
        except ValueError as error:
            # The channel was closed under the stream.
            self._fault = str(error)
        self._synced.set()

    def _take(self, update: Any) -> None:
        kind = update.WhichOneof("kind")
        if kind == "resource":
            found = update.resource
            path = ResourcePath(
                exporter=found.path.exporter_name,
                group=found.path.group_name,
                kind=found.cls,
                name=found.path.resource_name,
            )
            self._resources[path] = Resource(
                path=path, online=found.avail, values=_values(found.params), extra=_values(found.extra)
            )
        elif kind == "del_resource":
            gone = update.del_resource
            key = (gone.exporter_name, gone.group_name, gone.resource_name)
            for path in [item for item in self._resources if (item.exporter, item.group, item.name) == key]:
                del self._resources[path]

    def _find(self, name: str) -> Any:
        """Return a place as the coordinator tells it, by its name or an alias."""
        places = {place.name: place for place in self._places()}
        aliases = {alias: place for place in places.values() for alias in place.aliases}
        found = places.get(name) or aliases.get(name)
        if found is None:
            raise UnknownPlaceError(
                f"the coordinator {self._address} has no place called {name!r}",
                hint=close_matches(name, places) or "labgrid-client create makes one",
            )
        return found

    def _service(self, place: Any) -> NetworkService:
        return network_service(place.name, place.acquired_resources, self._resources)

    def _places(self) -> Any:
        try:
            return self._stub.GetPlaces(self._messages.GetPlacesRequest(), timeout=CALL_DEADLINE_S).places
        except self._grpc.RpcError as error:
            raise self._unreachable(error) from None

    def _acquire(self, name: str) -> None:
        request = self._messages.AcquirePlaceRequest(placename=name)
        try:
            self._stub.AcquirePlace(request, timeout=ACQUIRE_DEADLINE_S)
        except self._grpc.RpcError as error:
            codes = self._grpc.StatusCode
            if error.code() not in (codes.FAILED_PRECONDITION, codes.PERMISSION_DENIED):
                raise self._unreachable(error) from None
            # Somebody was faster, or has a reservation.
            raise self._busy(name, self._find(name).acquired, _details(error)) from None

    def _release(self, name: str, progress: Progress) -> None:
        """Release a place if it is ours; the coordinator may have been started anew meanwhile."""
        request = self._messages.ReleasePlaceRequest(placename=name, fromuser=self.identity)
        try:
            self._stub.ReleasePlace(request, timeout=CALL_DEADLINE_S, wait_for_ready=True)
        except self._grpc.RpcError as error:
            progress.say(
                f"warning: the place {name} could not be released: {_details(error)}; "
                f"labgrid-client -p {name} release does it"
            )

    def _busy(self, name: str, owner: str, reason: str = "") -> PlaceBusyError:
        held = f"is held by {owner}" if owner else f"cannot be acquired: {reason}"
        return PlaceBusyError(
            f"the place {name} {held}",
            hint=f"wait for it, or ask its owner to run: labgrid-client -p {name} release",
        )

    def _unreachable(self, error: Any) -> LabUnreachableError:
        return LabUnreachableError(
            f"the labgrid coordinator {self._address} does not answer: {_details(error)}",
            hint="check that it runs, and the network to it",
        )


def _labgrid() -> tuple[Any, Any, Any]:
    """Return grpc and the two modules that labgrid makes of its protocol's definition."""
    try:
        return (
            importlib.import_module("grpc"),
            importlib.import_module("labgrid.remote.generated.labgrid_coordinator_pb2"),
            importlib.import_module("labgrid.remote.generated.labgrid_coordinator_pb2_grpc"),
        )
    except ImportError as error:
        raise MissingToolError(
            f"places of a lab need labgrid, which is not installed here ({error})",
            hint="pip install 'edgedeploy[labgrid]'",
        ) from None


def _dial(host: str, port: int, address: str, deadline_s: float) -> None:
    """Say at once what gRPC would try again until its deadline."""
    try:
        with contextlib.closing(socket.create_connection((host, port), timeout=deadline_s)):
            return
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LabUnreachableError(
            f"no labgrid coordinator answers at {address}: {reason}",
            hint="say where it is with --coordinator ADDRESS[:PORT] or LG_COORDINATOR; labgrid-coordinator starts one",
        ) from None


def _values(entries: Any) -> dict[str, Any]:
    """Return a message's map as a dictionary; a value of no kind is None."""
    return {key: getattr(value, kind) if (kind := value.WhichOneof("kind")) else None for key, value in entries.items()}


def _details(error: Any) -> str:
    return str(error.details() or error.code().name)
