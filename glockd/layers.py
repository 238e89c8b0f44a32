"""From files and layers of options to one Config."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glockd.config import Config, ConfigError, default, flag, options


def from_file(path: str) -> dict[str, Any]:
    """The options in a TOML file, by field name.

    Raises:
        ConfigError: it cannot be read, is no TOML, has an unknown key or a value of the wrong type.
    """
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    known = {flag(one.name): one for one in options()}
    found = {}
    for key, value in content.items():
        one = known.get(flag(key))
        if one is None:
            raise ConfigError(f"{path}: there is no option {key}")
        wanted = type(default(one))
        if type(value) is not wanted:
            raise ConfigError(f"{path}: {key} must be {WORDS_FOR_TYPES[wanted]}")
        found[one.name] = value
    return found


WORDS_FOR_TYPES = {int: "a number", bool: "true or false", str: "a text in quotes"}


def build(*layers: Mapping[str, Any]) -> Config:
    """A Config from options by field name; later layers beat earlier ones.

    Raises:
        ConfigError: a value is out of its range.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    return Config(**merged)
