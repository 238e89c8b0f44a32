"""Certificates for the tests of TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path, openssl: str) -> None:
        self.folder, self.openssl = folder, openssl
        self.ca = folder / "ca.pem"
        self.make("-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=a test")

    def make(self, *words: str) -> None:
        command = [self.openssl, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        subprocess.run([*command, *words], cwd=self.folder, check=True, capture_output=True)

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate for localhost, and its key."""
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self.make("-x509", *signed, "-keyout", files[1].name, "-out", files[0].name, "-subj", f"/CN={name}")
        return files

    def lasting(self, name: str, days: int, *extensions: str) -> tuple[Path, Path]:
        """A certificate for localhost that ends in so many days (-1: yesterday), and its key."""
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self.make("-keyout", files[1].name, "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self.folder / "extensions").write_text("\n".join(("subjectAltName=DNS:localhost", *extensions)))
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions")
        words = ["x509", "-req", "-in", f"{name}.csr", *signed, "-days", str(days), "-out", files[0].name]
        subprocess.run([self.openssl, *words], cwd=self.folder, check=True, capture_output=True)
        return files
