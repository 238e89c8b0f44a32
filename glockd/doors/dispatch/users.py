"""Who may do what: users, their roles and passwords, and who asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glockd.config import StartError
from glockd.doors.dispatch import tokens
from glockd.doors.dispatch.project import Project
from glockd.doors.dispatch.refusal import NOT_AUTHORISED, Refusal
from glockd.net.exchange import Ask

NOBODY = "anonymous"


@dataclass(frozen=True, slots=True)
class User:
    """A user."""

    name: str
    is_admin: bool = False
    roles: frozenset[str] = frozenset()

    def demand_admin(self) -> None:
        """See that they are an administrator.

        Raises:
            Refusal: they are not.
        """
        if not self.is_admin:
            raise Refusal(403, NOT_AUTHORISED)

    def may_work_on(self, project: Project) -> bool:
        """Whether they may take files of a project, and give them back."""
        return self.owns(project) or self.name in project.users or not self.roles.isdisjoint(project.roles)

    def owns(self, project: Project) -> bool:
        """Whether they may change a project."""
        return self.is_admin or self.name == project.owner


@dataclass(frozen=True, slots=True)
class Users:
    """Everybody who is known.

    Attributes:
        known: by name; None: whoever has a token is.
        realm: of the passwords.
        passwords: MD5 of user, realm and password in hex, by name.
    """

    known: Mapping[str, User] | None = None
    realm: str = "glockd"
    passwords: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> User:
        """The user of that name.

        Raises:
            BadToken: there is none.
        """
        found = User(name) if self.known is None else self.known.get(name)
        if found is None:
            raise tokens.BadToken(f"user {name} not found")
        return found


def read_users(users_path: str, passwords_path: str) -> Users:
    """Who is known by these files; an empty path stands for no file.

    Args:
        users_path: one user a line: the name, then `admin` if they are one, then `role:NAME` for each role.
        passwords_path: as `htdigest` writes it.

    Raises:
        StartError: one of them cannot be read, or has a line that means nothing.
    """
    known = dict(_users(users_path)) if users_path else None
    if not passwords_path:
        return Users(known)
    passwords: dict[str, str] = {}
    realms: dict[str, None] = {}
    for number, line in _lines("dispatch-password-file", passwords_path):
        parts = line.split(":")
        if len(parts) != 3 or len(parts[2]) != 32:
            raise StartError(f"-dispatch-password-file: {passwords_path}: line {number} is not of htdigest's")
        realms[parts[1]] = None
        passwords[parts[0]] = parts[2].lower()
    if len(realms) != 1:
        raise StartError(
            f"-dispatch-password-file: {passwords_path}: one realm is needed, and it has {len(realms)}"
        )
    return Users(known, next(iter(realms)), passwords)


def _users(path: str) -> Iterator[tuple[str, User]]:
    for number, line in _lines("dispatch-users-file", path):
        name, *rest = line.split()
        wrong = [word for word in rest if word != "admin" and not word.startswith("role:")]
        if wrong:
            raise StartError(
                f"-dispatch-users-file: {path}: line {number}: {wrong[0]!r} is neither admin nor role:NAME"
            )
        yield name, User(name, "admin" in rest, frozenset(word[5:] for word in rest if word != "admin"))


def read_proximity(path: str) -> dict[tuple[str, str], int]:
    """How near elements are to sites: `SITE ELEMENT NUMBER` a line.

    Raises:
        StartError: it cannot be read, or has a line that means nothing.
    """
    rows: dict[tuple[str, str], int] = {}
    for number, line in _lines("dispatch-proximity-file", path):
        try:
            site, element, distance = line.split()
            rows[site, element] = int(distance)
        except ValueError:
            raise StartError(
                f"-dispatch-proximity-file: {path}: line {number} is not SITE ELEMENT NUMBER"
            ) from None
    return rows


def _lines(option: str, path: str) -> Iterable[tuple[int, str]]:
    """The lines of a file that are neither empty nor a comment, with their numbers."""
    try:
        content = Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise StartError(f"-{option}: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartError(f"-{option}: {path}: it is not UTF-8") from error
    lines = ((number, line.strip()) for number, line in enumerate(content.splitlines(), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def token_of(ask: Ask) -> str | None:
    """The token that a request brings: in a cookie, in a header of its own, or as a bearer."""
    for cookies in ask.headers.get_all("Cookie"):
        for part in cookies.split(";"):
            name, _, value = part.strip().partition("=")
            if name == "auth_token" and value:
                return value
    given = ask.headers.get_all("X-Authentication-Token")
    if given:
        return given[0].strip()
    return bearer(ask)


def bearer(ask: Ask) -> str | None:
    """The bearer token of a request."""
    scheme, _, value = next(iter(ask.headers.get_all("Authorization")), "").strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value.strip() else None


def identify(ask: Ask, users: Users, secrets: Sequence[bytes], now: float) -> User:
    """Who asks.

    Args:
        secrets: any of which tokens are signed with; with none, everybody is who they say, and an administrator.
        now: seconds since 1970.

    Raises:
        Refusal: 401, there is no good token.
    """
    token = token_of(ask)
    try:
        if not secrets:
            name = NOBODY if token is None else tokens.claims_of(token).get("sub", NOBODY)
            return User(str(name), is_admin=True)
        if token is None:
            raise Refusal(401, "Token not found")
        return users.find(str(tokens.verify(token, secrets, now).get("sub", "")))
    except tokens.BadToken as error:
        raise Refusal(401, str(error)) from None
