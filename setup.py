"""What setup.cfg cannot say: where the client is that the extra `client` brings."""

from pathlib import Path

from setuptools import Distribution, setup

CLIENT = Path(__file__).resolve().parent / "clients" / "python"


class WithClient(Distribution):
    """The metadata of setup.cfg, and the extra `client`."""

    def parse_config_files(self, *args: object, **options: object) -> None:
        """Read setup.cfg."""
        super().parse_config_files(*args, **options)
        # A clone brings its own client; what is built from the source distribution, the published one.
        where = f" @ {CLIENT.as_uri()}" if CLIENT.is_dir() else ""
        self.extras_require["client"] = [f"glockd-client[cli,ws]{where}"]


setup(distclass=WithClient)
