"""Makes docs/console.png: the console page of a daemon that has something to do.

python -m tools.picture
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.support.clients import StreamClient
from tests.support.process import Glockd

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "console.png"
SIZE = 1280, 800
SECONDS = 25.0  # how long the charts grow

LOCKS = 100_000
READERS = ("worker-6", "worker-7", "worker-8")


def named(daemon: Glockd, name: str) -> StreamClient:
    """A client that calls itself by a name."""
    client = daemon.stream()
    client.says(f"iam {name}").hears("1 ok")
    return client


def crowd(daemon: Glockd) -> list[StreamClient]:
    """Those who hold locks and wait for them as long as the picture takes."""
    importer = named(daemon, "importer")
    for start in range(0, LOCKS, 1000):
        importer.sends("".join(f"g import/customer-{number:06}\n" for number in range(start, start + 1000)))
        for _ in range(1000):
            importer.receive_line()
    holder = named(daemon, "nightly-report@worker-1")
    holder.says("g reports/nightly").hears("1 Lock Get Success: reports/nightly")
    holder.says("lease 600 reports/nightly").hears("1 Lock Lease Success: reports/nightly")
    clients = [importer, holder]
    for number, name in enumerate(READERS, 1):
        clients.append(named(daemon, name))
        clients[-1].says("read 0 catalogue/index").hears(f"{number} Lock Get Success: catalogue/index")
    for number in range(2, 6):
        clients.append(named(daemon, f"worker-{number}"))
        clients[-1].says("wait 300 reports/nightly")
    clients.append(named(daemon, "indexer"))
    clients[-1].says("wait 300 catalogue/index")
    return clients


def bustle(daemon: Glockd, over: threading.Event) -> None:
    """Come and go, now and then without giving a lock back."""
    client, turn = daemon.stream(), 0
    while not over.wait(0.02):
        turn += 1
        some = 3 + turn * 7919 % 11
        # Nothing that the history keeps: it is to show what befell the lock in the picture.
        client.sends("i cron/tick\nping\n" * some)
        for _ in range(2 * some):
            client.receive_line()
        if turn % 60 == 0:
            client.says("g cron/lost").hears("1 Lock Get Success: cron/lost")
            client.hangs_up()
            client = daemon.stream()


def picture(daemon: Glockd) -> None:
    """Look at the page for a while, and keep what is seen then."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light")
        page.goto("http://{}:{}/#locks/waited".format(*daemon.ws))
        page.get_by_role("button", name="Waiting", exact=True).click()
        time.sleep(SECONDS)
        page.get_by_role("link", name="reports/nightly").click()
        page.locator("#lock").get_by_text("Lately").wait_for()
        time.sleep(1.0)
        page.screenshot(path=PICTURE)
        browser.close()


def main() -> None:
    """Make the picture."""
    over = threading.Event()
    with tempfile.TemporaryDirectory() as folder, Glockd(Path(folder), "-history", "4096") as daemon:
        clients = crowd(daemon)
        load = threading.Thread(target=bustle, args=(daemon, over))
        load.start()
        try:
            picture(daemon)
        finally:
            over.set()
            load.join()
            print(f"{PICTURE}: {len(clients)} clients", file=sys.stderr)


if __name__ == "__main__":
    main()
