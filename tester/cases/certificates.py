"""Certificates for a daemon that speaks TLS, and for its clients; the `openssl` program makes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ..errors import CannotTest


class NoCertificates(CannotTest):
    """Certificates cannot be made here; the text is why."""


def make(folder: Path) -> None:
    """Make `ca`, `server` and `client` by it, and a `stranger` by nobody known: a .pem and a .key file each.

    They are for localhost and 127.0.0.1, and good for two days.

    Raises:
        NoCertificates
    """
    _issue(folder, "ca")
    for name in ("server", "client"):
        _issue(folder, name, "-CA", "ca.pem", "-CAkey", "ca.key")
    _issue(folder, "stranger")


def _issue(folder: Path, name: str, *signer: str) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
    if signer:
        command += [*signer, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as problem:
        raise NoCertificates("certificates are made with openssl, which is not installed") from problem
    except subprocess.CalledProcessError as problem:
        raise NoCertificates(f"openssl: {problem.stderr.strip()}") from problem
