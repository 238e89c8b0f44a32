"""Certificates for a daemon that speaks TLS, and for its clients; the `openssl` program makes them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import CannotTest

# A configuration of its own: the system's adds extensions that make an authority of every certificate.
BARE = "[req]\ndistinguished_name = nothing\n[nothing]\n"
# What RFC 5280 demands, and Python from 3.13 on.
AUTHORITY = (
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign",
    "subjectKeyIdentifier=hash",
)
HOST = (
    "basicConstraints=critical,CA:FALSE",
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
    "subjectKeyIdentifier=hash",
    "authorityKeyIdentifier=keyid",
)


class NoCertificates(CannotTest):
    """Certificates cannot be made here; the text is why."""


def make(folder: Path) -> None:
    """Make `ca`, `server` and `client` by it, and a `stranger` by nobody known: a .pem and a .key file each.

    They are for localhost and 127.0.0.1, and good for two days.

    Raises:
        NoCertificates
    """
    (folder / "openssl.cnf").write_text(BARE)
    _issue(folder, "ca", AUTHORITY)
    for name in ("server", "client"):
        _issue(folder, name, HOST, "-CA", "ca.pem", "-CAkey", "ca.key")
    _issue(folder, "stranger", HOST)


def _issue(folder: Path, name: str, extensions: Sequence[str], *signer: str) -> None:
    command = ["openssl", "req", "-x509", "-config", "openssl.cnf", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", *signer]
    command += [word for extension in extensions for word in ("-addext", extension)]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as problem:
        raise NoCertificates("certificates are made with openssl, which is not installed") from problem
    except subprocess.CalledProcessError as problem:
        raise NoCertificates(f"openssl: {problem.stderr.strip()}") from problem
