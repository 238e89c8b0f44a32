"""What is asked about storage elements and replicas, and how they are changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from glockd.doors.dispatch import bodies
from glockd.doors.dispatch.elements import Element, Replica, created, updated
from glockd.doors.dispatch.refusal import NOT_AUTHORISED, Refusal
from glockd.doors.dispatch.shown import show_element, show_replica
from glockd.doors.dispatch.specs import LONGEST_NAME

if TYPE_CHECKING:
    from glockd.doors.dispatch.desk import Desk
    from glockd.doors.dispatch.users import User
    from glockd.net.exchange import Ask

Arguments: TypeAlias = Mapping[str, str]

# Elements that may be known: a list of all is one answer.
MOST_ELEMENTS = 10_000


class Rses:
    """Storage elements and replicas.

    Each call gives what is to be answered as JSON.

    Args:
        desk: where they are known.
        identify: tells who asks; raises Refusal.
    """

    def __init__(self, desk: Desk, identify: Callable[[Ask], User]) -> None:
        self._desk = desk
        self._elements = desk.projects.elements
        self._identify = identify
        self.calls: Mapping[str, tuple[str, Callable[[Ask, Arguments], Any]]] = {
            "/rses": ("GET", self._list),
            "/get_rse": ("GET", self._get),
            "/set_rse_availability": ("GET", self._set_availability),
            "/create_rse": ("POST", self._create),
            "/update_rse": ("POST", self._update),
            "/delete_rse": ("GET", self._delete),
            "/replica_available": ("POST", self._replica_available),
            "/replica_unavailable": ("GET", self._replica_unavailable),
        }

    def _list(self, ask: Ask, given: Arguments) -> Any:
        return [show_element(one) for one in self._elements]

    def _get(self, ask: Ask, given: Arguments) -> Any:
        return show_element(self._elements.find(_name(given)))

    def _set_availability(self, ask: Ask, given: Arguments) -> Any:
        self._identify(ask).demand_admin()
        name, wanted = _name(given), given.get("available")
        if wanted not in ("yes", "no"):
            raise Refusal(400, 'availability value must be specified as "yes" or "no"')
        return self._change(replace(self._elements.find(name), is_available=wanted == "yes"))

    def _create(self, ask: Ask, given: Arguments) -> Any:
        self._identify(ask).demand_admin()
        element = created(bodies.read(ask.body))
        if any(one.name == element.name for one in self._elements):
            raise Refusal(409, "Already exists")
        if len(self._elements) >= MOST_ELEMENTS:
            raise Refusal(400, f"There may be {MOST_ELEMENTS} RSEs")
        is_first = not len(self._elements)
        return self._change(element, everything=is_first)

    def _update(self, ask: Ask, given: Arguments) -> Any:
        self._identify(ask).demand_admin()
        body = bodies.read(ask.body)
        name = body.get("Name")
        if not isinstance(name, str) or not name:
            raise Refusal(400, "Name must be specified")
        return self._change(updated(self._elements.find(name), body))

    def _delete(self, ask: Ask, given: Arguments) -> Any:
        name = _name(given)
        user = self._identify(ask)
        if all(one.name != name for one in self._elements):
            raise Refusal(404, "RSE not found")
        if not user.is_admin:
            raise Refusal(403, NOT_AUTHORISED)
        self._desk.demand()
        units = self._elements.remove(name)
        if self._desk.records is not None:
            self._desk.records.erase_element(name)
        self._desk.replicas_changed(units if len(self._elements) else None)
        return None

    def _change(self, element: Element, *, everything: bool = False) -> Any:
        self._desk.demand()
        known = next((one for one in self._elements if one.name == element.name), None)
        self._elements.put(element)
        if self._desk.records is not None:
            self._desk.records.keep_element(element)
        if everything:
            self._desk.replicas_changed(None)
        elif known is not None and known.serves != element.serves:
            self._desk.replicas_changed(self._elements.stored(element.name))
        return show_element(element)

    # Replicas

    def _replica_available(self, ask: Ask, given: Arguments) -> Any:
        self._identify(ask).demand_admin()
        rse, namespace, unit = self._named(given)
        before = self._elements.replica(rse, unit) or Replica(rse, unit, namespace)
        return self._put(_described(before, bodies.read(ask.body)))

    def _replica_unavailable(self, ask: Ask, given: Arguments) -> Any:
        self._identify(ask).demand_admin()
        rse, _, unit = self._named(given)
        found = self._elements.replica(rse, unit)
        if found is None:
            raise Refusal(404, "Replica not found")
        return self._put(replace(found, available=False))

    def _named(self, given: Arguments) -> tuple[str, str, bytes]:
        """The element that arguments name, and namespace and DID of the file."""
        missing = next((name for name in ("rse", "namespace", "name") if not given.get(name)), None)
        if missing is not None:
            raise Refusal(400, f"{missing} must be specified")
        if len(given["namespace"].encode()) > LONGEST_NAME or len(given["name"].encode()) > LONGEST_NAME:
            raise Refusal(400, f"A name has more than {LONGEST_NAME} bytes")
        rse = self._elements.find(given["rse"]).name
        return rse, given["namespace"], f"{given['namespace']}:{given['name']}".encode()

    def _put(self, replica: Replica) -> Any:
        self._desk.demand()
        self._elements.put_replica(replica)
        if self._desk.records is not None:
            self._desk.records.keep_replica(replica)
        self._desk.replicas_changed([replica.unit])
        shown = show_replica(self._elements, replica)
        return shown


def _name(given: Arguments) -> str:
    name = given.get("name", "")
    if not name:
        raise Refusal(400, "RSE name must be specified")
    return name


def _described(replica: Replica, body: Mapping[str, Any]) -> Replica:
    """A replica as a body describes it.

    Raises:
        Refusal: something is wrong with that.
    """
    texts = {name: body[name] for name in ("path", "url") if body.get(name) is not None}
    wrong = next((name for name, value in texts.items() if not isinstance(value, str)), None)
    if wrong is not None:
        raise Refusal(400, f"{wrong} must be a text")
    url = texts.get("url", replica.url)
    urls = body.get("urls")
    if urls is None:
        urls = [] if url is None else [url]
    if not isinstance(urls, list) or not all(isinstance(one, str) for one in urls):
        raise Refusal(400, "urls must be a list of texts")
    preference = body.get("preference")
    available = body.get("available")
    return replace(
        replica,
        path=texts.get("path", replica.path),
        url=url,
        urls=tuple(urls),
        preference=replica.preference if preference is None else bodies.number(preference, "preference"),
        available=available is not False,
    )
