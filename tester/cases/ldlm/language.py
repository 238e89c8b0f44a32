"""LDLM as a language of cases: where its files are, and what its server's options are called here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...errors import CannotTest
from ..files import Case
from ..language import Language, Stage
from ..looks import look_at_grpc, look_at_http
from ..values import Json
from .conversation import GRPC, REST, play

LOOKS: Mapping[str, Callable[[tuple[str, int], float], None]] = {GRPC: look_at_grpc, REST: look_at_http}
# Go's time.ParseDuration
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+|0")
PART = re.compile(r"([\d.]+)([a-zµ]+)")


class NoSuchOption(CannotTest):
    """A profile asks for what the daemon has no option for; the text says what."""


def seconds(duration: Json) -> str:
    """A duration as Go writes it, `1m30s`, in seconds. Raises ValueError."""
    if not isinstance(duration, str) or not DURATION.fullmatch(duration):
        raise ValueError(f"{duration!r} is no duration")
    total = sum(float(number) * UNITS[unit] for number, unit in PART.findall(duration))
    return f"{total:.9f}".rstrip("0").rstrip(".")


def truth(value: Json) -> str:
    """A switch as our options take it. Raises ValueError."""
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return str(value).lower()


# LDLM's options and ours; each value is an option's, from theirs.
OPTIONS: Mapping[str, tuple[str, Callable[[Json], str]]] = {
    "rest_session_timeout": ("-ldlm-session-seconds", seconds),
    "default_lock_timeout": ("-ldlm-default-lease-seconds", seconds),
    "no_clear_on_disconnect": ("-ldlm-keep-on-disconnect", truth),
    "keepalive_interval": ("-ldlm-keepalive-seconds", seconds),
    "keepalive_timeout": ("-ldlm-keepalive-timeout-seconds", seconds),
    "lock_gc_interval": ("-ldlm-gc-seconds", seconds),
    "lock_gc_min_idle": ("-ldlm-gc-idle-seconds", seconds),
    "state_file": ("-records", str),
    "tls_cert": ("-tls-cert", str),
    "tls_key": ("-tls-key", str),
    "client_ca": ("-tls-client-ca", str),
}


class Ldlm:
    """See `language.Language`."""

    listeners: Sequence[str] = (GRPC, REST)

    def files(self) -> list[Path]:
        return sorted(Path(__file__).parent.glob("*.json"))

    def needs_certificates(self, profile: Mapping[str, Json]) -> bool:
        return "tls_cert" in profile

    def options(self, profile: Mapping[str, Json], folder: Path, mark: str) -> list[str]:
        options: list[str] = []
        for name, value in profile.items():
            if isinstance(value, str):
                value = value.replace("$folder", str(folder)).replace("$own", mark)
            if name == "password":
                options += ["-ldlm-password-file", str(_secret_file(folder / f"password-{mark}", value))]
                continue
            if name not in OPTIONS:
                raise NoSuchOption(f"{name}: glockd has no option for it")
            option, translate = OPTIONS[name]
            try:
                options.append(f"{option}={translate(value)}")
            except ValueError as problem:
                raise NoSuchOption(f"{name}: {problem}") from problem
        if "state_file" in profile:
            options.append("-ldlm-keep-over-restart")
        return options

    def is_usual(self, profile: Mapping[str, Json]) -> bool:
        return not profile

    def places(self, stage: Stage) -> dict[str, str]:
        scheme = "https" if "tls_cert" in stage.profile else "http"
        places = {
            "address": "{}:{}".format(*stage.address(GRPC)),
            "url": "{}://{}:{}".format(scheme, *stage.address(REST)),
        }
        if "password" in stage.profile:
            places["secret"] = stage.profile["password"]
        if "tls_cert" in stage.profile:
            places["ca"] = str(stage.folder / "ca.pem")
        if "client_ca" in stage.profile:
            places |= {"cert": str(stage.folder / "client.pem"), "key": str(stage.folder / "client.key")}
        return places

    def look(self, listener: str, address: tuple[str, int], seconds: float) -> None:
        LOOKS[listener](address, seconds)

    def play(self, case: Case, stage: Stage) -> None:
        play(case, stage)


def _secret_file(path: Path, secret: str) -> Path:
    path.touch(0o600)
    path.write_text(f"{secret}\n", "utf-8")
    return path


LANGUAGE: Language = Ldlm()
