"""Storage elements, the replicas of files on them, and how near they are to those who work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from glockd.doors.dispatch.refusal import Refusal

DEFAULT = "DEFAULT"

# Members of an element by what update_rse calls them, with their types.
UPDATES: Mapping[str, tuple[str, type]] = {
    "Description": ("description", str),
    "Enabled": ("is_enabled", bool),
    "Available": ("is_available", bool),
    "Tape": ("is_tape", bool),
    "PinURL": ("pin_url", str),
    "PollURL": ("poll_url", str),
    "RemovePrefix": ("remove_prefix", str),
    "AddPrefix": ("add_prefix", str),
    "PinPrefix": ("pin_prefix", str),
    "Preference": ("preference", int),
    "Type": ("type", str),
}
TYPES: Mapping[str, type] = dict(UPDATES.values())
INTERFACES = ("native", "wlcg")


@dataclass(frozen=True, slots=True)
class Element:
    """A storage element (RSE)."""

    name: str
    description: str = ""
    is_available: bool = False
    is_tape: bool = False
    is_enabled: bool = False
    pin_url: str | None = None
    poll_url: str | None = None
    remove_prefix: str = ""
    add_prefix: str = ""
    pin_prefix: str = ""
    preference: int = 0
    type: str | None = None

    @property
    def serves(self) -> bool:
        """Whether files are to be had there."""
        return self.is_enabled and self.is_available


@dataclass(frozen=True, slots=True)
class Replica:
    """A file on a storage element."""

    rse: str
    unit: bytes  # the file's DID in UTF-8
    namespace: str
    path: str | None = None
    url: str | None = None
    urls: tuple[str, ...] = ()
    preference: int = 0
    available: bool = True


@dataclass(slots=True)
class Elements:
    """All elements and replicas.

    Args:
        proximity: how near an element is to a site: by both names, any of which may be DEFAULT.
    """

    proximity: Mapping[tuple[str, str], int] = field(default_factory=lambda: {(DEFAULT, DEFAULT): 100})
    _elements: dict[str, Element] = field(default_factory=dict)
    _replicas: dict[bytes, dict[str, Replica]] = field(default_factory=dict)  # by DID, then by element
    _stored: dict[str, dict[bytes, None]] = field(default_factory=dict)  # DIDs by element

    def __len__(self) -> int:
        return len(self._elements)

    def __iter__(self) -> Iterator[Element]:
        """The elements by name."""
        return iter(sorted(self._elements.values(), key=lambda one: one.name))

    def find(self, name: str) -> Element:
        """The element of that name.

        Raises:
            Refusal: there is none.
        """
        found = self._elements.get(name)
        if found is None:
            raise Refusal(404, f"RSE {name} not found")
        return found

    def put(self, element: Element) -> None:
        """Add an element, or change it."""
        self._elements[element.name] = element

    def remove(self, name: str) -> list[bytes]:
        """Forget an element, and the replicas on it; the DIDs of these."""
        del self._elements[name]
        units = list(self._stored.pop(name, ()))
        for unit in units:
            replicas = self._replicas[unit]
            del replicas[name]
            if not replicas:
                del self._replicas[unit]
        return units

    def put_replica(self, replica: Replica) -> None:
        """Add a replica, or change it; its element is known."""
        self._replicas.setdefault(replica.unit, {})[replica.rse] = replica
        self._stored.setdefault(replica.rse, {})[replica.unit] = None

    def replica(self, rse: str, unit: bytes) -> Replica | None:
        """The replica of a file on an element."""
        return self._replicas.get(unit, {}).get(rse)

    def replicas(self, unit: bytes) -> Iterable[Replica]:
        """All replicas of a file, by element."""
        found = self._replicas.get(unit)
        return sorted(found.values(), key=lambda one: one.rse) if found else ()

    def stored(self, rse: str) -> list[bytes]:
        """The DIDs of the files with a replica on an element."""
        return list(self._stored.get(rse, ()))

    def serve(self, unit: bytes) -> bool:
        """Whether a file is to be had: from an element that is enabled and available."""
        return any(self._elements[rse].serves for rse in self._replicas.get(unit, ()))

    def near(self, unit: bytes, site: str) -> list[tuple[Replica, int | None]]:
        """The replicas that whoever works at `site` can read now, with the proximity of each."""
        row = site if any(one == site for one, _ in self.proximity) else DEFAULT
        return [
            (one, self.proximity.get((row, one.rse), self.proximity.get((row, DEFAULT))))
            for one in self.replicas(unit)
            if one.available and self._elements[one.rse].serves
        ]


def created(body: Mapping[str, Any]) -> Element:
    """The element that create_rse describes.

    Raises:
        Refusal: something is wrong with it.
    """
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise Refusal(400, "RSE name must be specified")
    given = {member: body[member] for member in TYPES if body.get(member) is not None}
    preference = given.get("preference")
    if isinstance(preference, str) and preference.isascii() and preference.isdigit():
        given["preference"] = int(preference)
    interface = body.get("interface")
    if interface is not None:
        given["type"] = interface if interface in INTERFACES else None
    _check(given)
    return Element(name, **given)


def updated(element: Element, body: Mapping[str, Any]) -> Element:
    """An element as update_rse changes it; null changes nothing.

    Raises:
        Refusal: something is wrong with it.
    """
    wrong = next((key for key in body if key not in UPDATES and key != "Name"), None)
    if wrong is not None:
        raise Refusal(400, f"Bad key: {wrong}")
    given = {UPDATES[key][0]: value for key, value in body.items() if key != "Name" and value is not None}
    _check(given)
    return replace(element, **given)


def _check(given: Mapping[str, Any]) -> None:
    for member, value in given.items():
        kind = TYPES[member]
        if member == "type" and value is None:
            continue
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Refusal(400, f"{member} must be of type {kind.__name__}")
        if isinstance(value, int) and abs(value) >= 1 << 63:
            raise Refusal(400, f"{member} must fit into 64 bits")
