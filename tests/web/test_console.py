"""The console page in a real browser, on the websocket port of a real daemon."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from glockd.doors.line.wire.language import VERBS
from glockd.web import console
from tests.support.clients import StreamClient, wait_until
from tests.support.process import Glockd, Spawner, free_port
from tests.support.timing import at_most
from tests.web.test_app import with_http_port

# The browser is not to look for anything but the daemon.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MANY = 100_000
SOON = 20_000  # milliseconds to wait for a fact on the page, on a busy machine

expect.set_options(timeout=SOON)


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    program = request.getfixturevalue("need")("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


class Visitor:
    """Opens the console in contexts of the test's own, and takes note of every complaint of the browser."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.accepted = re.compile(
            r"WebSocket connection to .* failed|status of 401"
        )  # the daemon is away: the page says so

    def __call__(self, daemon: Glockd, where: str = "", **options: object) -> Page:
        context = self.browser.new_context(**options)  # type: ignore[arg-type]
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"http://{daemon.ws[0]}:{daemon.ws[1]}/{where}")
        return page

    def end(self) -> None:
        for context in self.contexts:
            context.close()
        assert [line for line in self.complaints if not self.accepted.search(line)] == []


@pytest.fixture
def visit(browser: Browser, glockd: Spawner) -> Iterator[Visitor]:
    visitor = Visitor(browser)
    yield visitor
    visitor.end()


def live(page: Page) -> Page:
    expect(page.locator("#state")).to_have_text("live")
    return page


def shown(page: Page, key: str) -> Locator:
    """The number of one of the counters."""
    return page.locator(f"#tile-{key} b")


def row(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has_text=text)


def takes(client: StreamClient, names: list[str]) -> None:
    """Take very many locks with one connection."""
    for start in range(0, len(names), 2000):
        some = names[start : start + 2000]
        client.sends("".join(f"g {name}\n" for name in some))
        for _ in some:
            client.receive_line()


def test_the_page_lists_the_verbs_as_the_daemon_knows_them() -> None:
    content = console.content().decode()
    table = re.findall(r'^  \["(.+?)", "(.+)"\],$', content.partition("\n];\n")[0], re.M)
    assert table == [(verb.syntax, verb.does) for verb in VERBS.values()]


def test_the_page_needs_nothing_but_itself() -> None:
    content = console.content().decode()
    assert content.count("<script") == content.count("<style") == 1
    assert re.findall(r"\s(?:style|on[a-z]+)=\"", content) == []
    addresses = set(re.findall(r"https?://[^'\"\s)]+", content))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of SVG, which is nowhere fetched from


def test_counters_move(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    page = live(visit(daemon))
    expect(shown(page, "locks")).to_have_text("0")
    alice, bob = daemon.stream(), daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("sg pool").hears("1 Shared Lock Get Success: pool")
    bob.says("wait inf job")
    for key in ("locks", "shared_locks", "waiting"):
        expect(shown(page, key)).to_have_text("1")
    expect(shown(page, "connections")).to_have_text("3")
    alice.hangs_up()
    bob.hears("1 Lock Get Success: job")
    expect(shown(page, "orphans")).to_have_text("2")
    expect(shown(page, "waiting")).to_have_text("0")
    label = page.locator("#tile-orphans svg")
    expect(label).to_have_attribute("aria-label", re.compile(r"Orphaned since start: 0 to 2 in \d+ s"))
    expect(page.locator("#tile-orphans path.curve")).to_have_attribute("d", re.compile(r"M[\d. L]+"))


def test_the_page_s_own_questions_are_no_load(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    page = live(visit(daemon))
    expect(shown(page, "rate")).to_have_text("0")
    alice = daemon.stream()
    alice.says(*["bound"] * 3000)
    for _ in range(3000):
        alice.hears("30 Dead Peer Seconds")
    page.locator("#tile-rate a").click()
    expect(row(page, "a vanished peer is found")).to_contain_text("3,000")


def test_a_lock_is_shown_with_its_holder_and_who_waits(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd("-history", "100")
    alice, bob = daemon.stream(), daemon.stream("unix")
    alice.says("iam nightly").hears("1 ok")
    alice.says("g reports/all of them").hears("1 Lock Get Success: reports/all of them")
    alice.says("lease 3600 reports/all of them").hears_a_line()
    bob.says("wait 600 reports/all of them")
    page = live(visit(daemon))
    expect(shown(page, "waiting")).to_have_text("1")
    page.get_by_role("link", name="Waited for").click()
    line = row(page, "reports/all of them")
    expect(line.get_by_role("cell")).to_have_text([re.compile("."), "nightly", re.compile(r"^\d+ s$"), "1"])
    line.get_by_role("link").click()
    detail = page.get_by_role("complementary", name="Lock")
    expect(detail.get_by_role("heading", level=2)).to_be_focused()
    expect(detail).to_contain_text(f"nightly {alice.address}")
    expect(detail).to_contain_text(re.compile(r"lease ends in 59 m"))
    expect(detail).to_contain_text(re.compile(r"1\. unix:1.*gives up in 9 m"))
    expect(detail).to_contain_text("granted nightly")
    alice.says("r reports/all of them").hears("1 Lock Release Success: reports/all of them")
    bob.hears("1 Lock Get Success: reports/all of them")
    expect(detail.locator("section").first).to_contain_text("Held byunix:1")
    detail.get_by_role("link", name="unix:1").first.click()
    expect(page.get_by_role("complementary", name="Client")).to_contain_text("reports/all of them")


def test_names_that_nobody_can_read_or_that_deceive(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    alice = daemon.stream()
    names = [b"", b"\xff\xfe", "\u202egnp".encode(), b"<img src=x onerror=alert(1)>", b"50%/a#b?c"]
    for name in names:
        alice.sends(b"g " + name + b"\n")
        alice.receive_line()
    page = live(visit(daemon))
    for text in ("(empty name)", "\\xff\\xfe", "\\u{202e}gnp", "<img src=x onerror=alert(1)>", "50%/a#b?c"):
        page.get_by_role("link", name=text, exact=True).click()
        expect(page.locator("#lock h2")).to_have_text(text)
        expect(page.locator("#lock section").first).to_contain_text(alice.address)


def test_a_hundred_thousand_locks(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    alice, bob = daemon.stream(), daemon.stream("unix")
    takes(alice, [f"import/customer-{number:06}" for number in range(MANY)])
    start = time.monotonic()
    page = live(visit(daemon))
    expect(page.get_by_text(f"1\u201350 of {MANY:,}")).to_be_visible()
    took = time.monotonic() - start
    assert took < at_most(5), f"the page took {took:.1f} s"
    expect(page.locator("#list-locks tbody tr")).to_have_count(50)

    page.get_by_role("button", name="On").click()
    expect(page.get_by_text(f"51\u2013100 of {MANY:,}")).to_be_visible()
    expect(page.locator("#list-locks tbody tr").first).to_contain_text("customer-000050")
    page.get_by_role("button", name="Back").click()
    expect(page.locator("#list-locks tbody tr").first).to_contain_text("customer-000000")

    search = page.get_by_role("searchbox", name="Search in lock names")
    search.fill("customer-0999")
    expect(page.get_by_text("1\u201350 of those with “customer-0999”")).to_be_visible()
    page.get_by_role("button", name="On").click()
    expect(page.get_by_text("51\u2013100 of those with “customer-0999”")).to_be_visible()
    expect(page.locator("#list-locks tbody tr").last).to_contain_text("customer-099999")
    search.fill("no such lock")
    expect(page.get_by_text("No such lock has “no such lock” in its name.")).to_be_visible()

    # The page searches every other second, at the most; nobody else notices.
    worst = 0.0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        began = time.monotonic()
        bob.says("ping").hears("1 pong")
        worst = max(worst, time.monotonic() - began)
    assert worst < at_most(0.1), f"somebody else waited for {worst * 1000:.0f} ms"
    alice.sock.close()


def test_clients_are_listed_with_what_they_hold_and_await(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    alice, bob = daemon.stream(), daemon.stream()
    alice.says("iam importer").hears("1 ok")
    alice.says("g one").hears("1 Lock Get Success: one")
    alice.says("sg two").hears("1 Shared Lock Get Success: two")
    bob.says("wait inf one")
    page = live(visit(daemon, "#clients"))
    expect(row(page, bob.address)).to_contain_text("one")
    expect(row(page, "(this page)")).to_have_count(1)
    page.get_by_role("searchbox").fill("import")
    expect(page.locator("#list-clients tbody tr")).to_have_count(1)
    row(page, "importer").click()
    detail = page.get_by_role("complementary", name="Client")
    expect(detail.locator("section").last.get_by_role("link")).to_have_text(["one", "two"])
    alice.hangs_up()
    expect(detail).to_contain_text("It is gone, and its locks are free.")


def test_the_history_is_followed_when_it_is_on(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd("-history", "100")
    page = live(visit(daemon, "#history"))
    expect(page.get_by_text("Nothing has happened yet.")).to_be_visible()
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    expect(row(page, "job")).to_contain_text("granted")
    alice.hangs_up()
    expect(page.locator("#list-history tbody tr").first).to_contain_text("orphaned")
    expect(page.locator("#list-history tbody tr").first).to_contain_text("closed")
    # In the browser's time, whatever the daemon's.
    today = page.evaluate("new Date().toLocaleDateString('sv-SE')")
    expect(row(page, "granted").get_by_role("cell").last).to_have_text(
        re.compile(rf"^{today} \d\d:\d\d:\d\d\.\d{{3}}$")
    )
    row(page, "granted").get_by_role("link").click()
    expect(page.locator("#lock section").last).to_contain_text(
        re.compile(rf"{today} \d\d:\d\d:\d\d\.\d{{3}}")
    )


@pytest.mark.parametrize(
    ("zone", "text"), [("UTC", "2026-01-01 00:00:00.250"), ("America/New_York", "2025-12-31 19:00:00.250")]
)
def test_a_time_has_its_date(glockd: Spawner, visit: Visitor, zone: str, text: str) -> None:
    page = live(visit(glockd(), timezone_id=zone))
    assert page.evaluate("stamp(1767225600.25)") == text


def test_without_history_the_page_says_how_to_have_one(glockd: Spawner, visit: Visitor) -> None:
    page = live(visit(glockd(), "#history"))
    expect(page.get_by_text("-history 4096")).to_be_visible()


def test_without_dump_the_page_says_so(glockd: Spawner, visit: Visitor) -> None:
    page = live(visit(glockd("-dump=false")))
    expect(page.get_by_text("The daemon does not tell its locks")).to_contain_text("-dump=false")
    expect(shown(page, "connections")).to_have_text("1")


def test_the_terminal(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    alice = daemon.stream()
    alice.says("g busy").hears("1 Lock Get Success: busy")
    page = live(visit(daemon, "#terminal"))
    line, log = page.get_by_role("textbox", name="Command"), page.get_by_role("log")
    expect(line).to_be_focused()
    line.press_sequentially("g job")
    line.press("Enter")
    expect(log).to_contain_text("1 Lock Get Success: job")
    line.press_sequentially("explain job")
    line.press("Enter")
    expect(log).to_contain_text('"transport": "websocket"')
    line.press_sequentially("nonsense")
    line.press("Enter")
    expect(log).to_contain_text("no such command")
    for wanted in ("nonsense", "explain job", "g job", "g job"):
        line.press("ArrowUp")
        expect(line).to_have_value(wanted)
    line.press("ArrowDown")
    expect(line).to_have_value("explain job")
    line.fill("")

    # A wait holds up neither the page nor the person.
    line.press_sequentially("wait inf busy")
    line.press("Enter")
    expect(shown(page, "waiting")).to_have_text("1")
    page.get_by_role("button", name="Cancel the wait").click()
    expect(log).to_contain_text("0 Lock Get Failure: busy")
    expect(log).to_contain_text("1 Cancelled")
    expect(page.get_by_role("button", name="Cancel the wait")).to_be_hidden()

    page.get_by_role("button", name="token NAME the fencing token").click()
    expect(line).to_have_value("token ")
    expect(line).to_be_focused()
    page.get_by_role("button", name="Disconnect").click()
    expect(shown(page, "orphans")).to_have_text("1")
    alice.says("g job").hears("1 Lock Get Success: job")


def test_everything_can_be_done_from_the_keyboard(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    alice = daemon.stream()
    for name in ("first", "second", "third"):
        alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    page = live(visit(daemon))
    expect(row(page, "third")).to_be_visible()
    seen = []
    for _ in range(30):  # once around: nothing traps the focus, and a list is one stop
        page.keyboard.press("Tab")
        seen.append(page.evaluate("(document.activeElement.textContent || document.activeElement.id).trim()"))
        style = "getComputedStyle(document.activeElement.closest('tbody tr') ?? document.activeElement).outlineStyle"
        if seen[-1] and page.evaluate("document.activeElement !== document.body"):
            assert page.evaluate(style) != "none", seen[-1]
        if len(seen) > 1 and "Skip to the list" in seen[-1]:
            break
    order = ["Skip to the list", "Pause", "Locks", "Terminal", "search-locks", "Exclusive", "first"]
    places = [seen.index(one) for one in order]
    assert places == sorted(places)
    assert "second" not in seen

    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("1/third")
    expect(page).to_have_url(re.compile("/$"))  # letters and digits are text there
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox")).to_have_value("")
    expect(row(page, "third")).to_be_visible()
    page.get_by_role("link", name="first", exact=True).focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="second", exact=True)).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.locator("#lock h2")).to_be_focused()
    expect(page.locator("#lock")).to_contain_text(alice.address)
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="third", exact=True)).to_be_focused()
    expect(page.locator("#lock")).to_be_hidden()

    page.keyboard.press("2")
    expect(page.locator("#list-clients")).to_be_visible()
    page.keyboard.press("p")
    expect(page.locator("#state")).to_have_text("paused")
    page.keyboard.press("p")
    live(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.get_by_role("checkbox").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    expect(page.locator("#list-clients")).to_be_visible()


def test_arrows_move_along_the_list_wherever_the_focus_is(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    alice = daemon.stream()
    takes(alice, [f"job-{number:02}" for number in range(60)])
    page = live(visit(daemon))
    expect(row(page, "job-00")).to_be_visible()

    def is_on(name: str) -> None:
        expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()

    assert page.evaluate("document.activeElement === document.body")
    page.keyboard.press("ArrowDown")
    is_on("job-00")
    page.keyboard.press("ArrowDown")
    is_on("job-01")
    for elsewhere in (
        page.get_by_role("button", name="Pause"),
        page.get_by_role("link", name="History"),
        page.get_by_role("button", name="Held for"),
    ):
        elsewhere.focus()
        page.keyboard.press("ArrowUp")
        is_on("job-01")  # where it was
    search = page.get_by_role("searchbox", name="Search in lock names")
    search.fill("job")
    for key in ("ArrowLeft", "ArrowUp", "Home", "End"):
        search.press(key)
        expect(search).to_be_focused()  # it moves in the text
    search.press("ArrowDown")
    expect(page.locator("#list-locks a:focus")).to_have_count(1)

    page.get_by_role("link", name="job-03").click()
    expect(page.locator("#lock h2")).to_be_focused()
    page.keyboard.press("ArrowDown")
    is_on("job-03")  # whose details are open
    page.keyboard.press("ArrowDown")
    is_on("job-04")
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("51\u201360 of those")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("1\u201350 of those")).to_be_visible()
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Control+ArrowDown")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()


def test_the_verbs_in_force_are_offered_and_no_other_word(glockd: Spawner, visit: Visitor) -> None:
    page = live(visit(glockd("-dump=false", "-registry=false"), "#terminal"))
    off = {b"d", b"sd", b"dump", b"who", b"iam", b"pool", b"explain", b"history", b"find", b"kick", b"auth"}
    off |= {b"book", b"sbook", b"bookings", b"unbook"}
    wanted = [verb.syntax for verb in VERBS.values() if verb.word not in off]
    expect(page.locator("#words code")).to_have_text(wanted)


def test_arrows_bring_earlier_commands_back_wherever_the_focus_is(glockd: Spawner, visit: Visitor) -> None:
    page = live(visit(glockd(), "#terminal"))
    line = page.get_by_role("textbox", name="Command")
    for said in ("g one", "g two"):
        line.fill(said)
        line.press("Enter")
        expect(page.get_by_role("log")).to_contain_text(f"1 Lock Get Success: {said[2:]}")
    page.get_by_role("button", name="Pause").focus()
    for wanted in ("g two", "g one"):
        page.keyboard.press("ArrowUp")
        expect(line).to_have_value(wanted)
        expect(line).to_be_focused()
    log = page.get_by_role("log")
    log.focus()
    page.keyboard.press("ArrowUp")
    expect(log).to_be_focused()  # which scrolls


def names_in_order(page: Page, *names: str) -> None:
    expect(page.locator("#list-locks tbody td:first-child")).to_have_text([*names])


def test_locks_are_sorted_by_name_age_and_waiters(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    alice, *others = (daemon.stream() for _ in range(4))
    for name in ("job-10", "job-9", "apple"):
        alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    for client, name in zip(others, ("job-9", "job-9", "apple"), strict=True):
        client.says(f"wait inf {name}")
    page = live(visit(daemon))
    expect(shown(page, "waiting")).to_have_text("3")
    names_in_order(page, "job-10", "job-9", "apple")
    head = page.get_by_role("columnheader", name="Lock")
    for direction, names in (
        ("ascending", ("apple", "job-9", "job-10")),
        ("descending", ("job-10", "job-9", "apple")),
    ):
        page.get_by_role("button", name="Lock", exact=True).click()
        expect(head).to_have_attribute("aria-sort", direction)
        names_in_order(page, *names)
    waiting = page.get_by_role("button", name="Waiting", exact=True)
    waiting.press("Enter")
    names_in_order(page, "job-9", "apple", "job-10")
    expect(head).not_to_have_attribute("aria-sort", re.compile(""))
    expect(waiting).to_be_focused()
    waiting.press("Enter")
    names_in_order(page, "job-10", "apple", "job-9")
    waiting.press("Enter")
    names_in_order(page, "job-10", "job-9", "apple")  # as the daemon has them

    # Handed over, it stands where it stood but is held for the shortest time.
    alice.says("r job-9").hears("1 Lock Release Success: job-9")
    page.get_by_role("button", name="Held for").click()
    expect(page.locator("#list-locks tbody tr").last).to_contain_text("job-9")
    page.get_by_role("button", name="Held for").click()
    expect(page.locator("#list-locks tbody tr").first).to_contain_text("job-9")


def test_sorting_costs_the_daemon_a_page_and_says_what_it_sorts(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    alice = daemon.stream()
    takes(alice, [f"job-{number:04}" for number in range(1200)])
    page = live(visit(daemon))
    expect(page.get_by_text("1\u201350 of 1,200")).to_be_visible()
    listen = "window.found = []; const ask = wire.ask;"
    listen += (
        "wire.ask = (line, ...more) => { found.push(line); return ask.call(wire, line, ...more); }; null"
    )
    page.evaluate(listen)
    for _ in range(2):
        page.get_by_role("button", name="Lock", exact=True).click()
    expect(page.get_by_text("1\u2013500 of 1,200, sorted among themselves")).to_be_visible()
    expect(page.locator("#list-locks tbody tr").first).to_contain_text("job-0499")
    page.get_by_role("button", name="On").click()
    expect(page.get_by_text("501\u20131,000 of 1,200, sorted among themselves")).to_be_visible()
    expect(page.locator("#list-locks tbody tr").first).to_contain_text("job-0999")
    asked = {line for line in page.evaluate("found") if line.startswith("find exclusive")}
    assert asked == {"find exclusive 0 500 ", "find exclusive 500 500 "}
    page.get_by_role("button", name="Lock", exact=True).click()
    expect(page.get_by_text("1\u201350 of 1,200")).to_be_visible()


def test_a_pool_without_a_holder_and_who_has_no_connection_are_shown(glockd: Spawner, visit: Visitor) -> None:
    page = live(visit(glockd()))
    page.get_by_role("button", name="Pause").click()
    page.wait_for_function("!polling")  # the look that was under way draws what it found
    owner = (
        "{address: 'rest:1', name: null, transport: null, mode: 'unit', seconds: 5, token: 7, lease: null}"
    )
    pool = "name, table: 'items', holders: 0, holder: null, waiters: 1, waited: 3"
    page.evaluate(
        f"lists.locks.page = {{next: null, total: 3, entries: [{{{pool.replace('name', 'name: `jobs`', 1)}}},"
        f"{{{pool.replace('name', 'name: `held`', 1)}, holder: {owner}, holders: 2}}]}}; lists.locks.draw()"
    )
    cells = row(page, "jobs").get_by_role("cell")
    expect(cells).to_have_text(["jobs", "nobody (items)", "", "1"])
    expect(row(page, "held").get_by_role("cell").nth(1)).to_have_text("rest:1 (items) and 1 more")
    page.get_by_role("button", name="Held for").click()  # asks anew: nobody holds anything
    expect(page.get_by_text("No exclusive locks are held.")).to_be_visible()
    found = f"{{name: 'jobs', exclusive: {{holders: [], waiters: []}}, items: {{holders: [{owner}], waiters: []}}}}"
    assert page.evaluate(f"used({found}).map(([kind]) => titles(kind))") == [
        ["Held by, among items", "Waiting, among items, next first"]
    ]
    assert (
        page.evaluate(f"holders('Held by', [{owner}]).textContent")
        == "Held byrest:15 sno connection · token 7"
    )


def test_the_focus_stays_where_it_is_when_the_list_changes(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    alice = daemon.stream()
    for name in ("first", "second", "third"):
        alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    page = live(visit(daemon))
    page.get_by_role("link", name="second", exact=True).focus()
    alice.says("r first").hears("1 Lock Release Success: first")
    expect(page.locator("#list-locks tbody tr")).to_have_count(2)
    expect(page.get_by_role("link", name="second", exact=True)).to_be_focused()


def luminance(colour: str) -> float:
    """WCAG 2.2: relative luminance of `rgb(r, g, b)`."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_colour_schemes(glockd: Spawner, visit: Visitor, scheme: str) -> None:
    daemon = glockd()
    page = live(visit(daemon, color_scheme=scheme))
    colour = "name => { const p = document.createElement('p'); document.body.append(p);"
    colour += "p.style.color = `var(--${name})`; const c = getComputedStyle(p).color; p.remove(); return c; }"
    paper = luminance(page.evaluate(colour, "sheet"))
    assert (paper < 0.2) == (scheme == "dark")
    for name in ("ink", "quiet", "accent", "wait", "bad"):
        other = luminance(page.evaluate(colour, name))
        contrast = (max(paper, other) + 0.05) / (min(paper, other) + 0.05)
        assert contrast >= 4.5, (name, contrast)  # WCAG 2.2, 1.4.3


def test_nothing_sticks_out_on_a_phone(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd("-history", "100")
    alice, bob = daemon.stream(), daemon.stream()
    name = "a-name-that-is-longer-than-any-telephone-is-wide/" * 5
    alice.says(f"iam {name}").hears("1 ok")
    alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    bob.says(f"wait inf {name}")
    page = live(visit(daemon, viewport={"width": 360, "height": 740}))
    wide = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
    for where in ("#locks", "#locks/waited", "#clients", "#history", "#commands", "#terminal"):
        page.goto(page.url.split("#")[0] + where)
        expect(page.locator("section[data-view]:visible")).to_have_count(1)
        page.wait_for_function("() => !document.body.innerText.includes('looking …')")
        assert not page.evaluate(wide), where
    page.goto(page.url.split("#")[0] + "#locks")
    row(page, name).get_by_role("link").click()
    expect(page.locator("#lock")).to_contain_text(bob.address)
    assert not page.evaluate(wide)
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#lock")).to_be_hidden()


def test_the_page_comes_back_with_the_daemon(visit: Visitor, tmp_path: Path) -> None:
    def start(number: int, port: int) -> Glockd:
        folder = tmp_path / str(number)
        folder.mkdir()
        daemon = Glockd(folder, "-port", "0", "-ws", str(port), listen=())
        daemon.ws = ("127.0.0.1", port)
        return daemon

    port = free_port()
    with start(1, port) as daemon:
        page = live(visit(daemon, "#terminal"))
        page.get_by_role("textbox", name="Command").fill("g job")
        page.keyboard.press("Enter")
        expect(page.get_by_role("log")).to_contain_text("1 Lock Get Success: job")
        page.evaluate("Math.random = () => 1e6")  # its next attempt by itself is hours away
    expect(page.locator("#state")).to_have_text("no connection to the daemon")
    expect(page.locator("#aside")).to_have_text(re.compile(r"next attempt in \d+ s"))
    expect(page.get_by_role("log")).to_contain_text("and with it every lock that it held")
    with start(2, port) as daemon:
        page.get_by_role("button", name="Try now").click()
        live(page)
        expect(shown(page, "locks")).to_have_text("0")
        page.get_by_role("textbox", name="Command").fill("g again")
        page.keyboard.press("Enter")
        expect(page.get_by_role("log")).to_contain_text("1 Lock Get Success: again")
        page.close()


def test_a_daemon_that_says_nothing_is_not_called_live(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    page = live(visit(daemon))
    page.evaluate(
        "new MutationObserver(() => { window.silence ??= performance.now() - wire.heard; window.first ??= wire; })"
        ".observe($('state'), { childList: true })"
    )
    daemon.gets(signal.SIGSTOP)
    try:
        expect(page.locator("#state")).to_have_text("no answer")
        expect(page.locator("#aside")).to_have_text(re.compile(r"for \d+ s"))
        assert 2000 < page.evaluate("silence") < at_most(3) * 1000
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#state")).to_have_text("paused")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#state")).to_have_text("no answer")
    finally:
        daemon.gets(signal.SIGCONT)
    live(page)
    assert page.evaluate("first === wire")  # it was there all the time
    daemon.stream().says("g job").hears("1 Lock Get Success: job")
    expect(row(page, "job")).to_be_visible()


def test_a_page_that_asks_rarely_is_live_all_the_same(glockd: Spawner, visit: Visitor) -> None:
    """Behind answers that cost much it pauses for long; what is heard between is of no less worth."""
    daemon = glockd()
    page = live(visit(daemon))
    seen = "window.seen = []; new MutationObserver(() => seen.push($('state').textContent))"
    page.evaluate(seen + ".observe($('state'), { childList: true })")
    page.evaluate("schedule = (delay) => {}")
    page.wait_for_function("() => wire.asked.get('ping') >= 2")
    assert page.evaluate("seen") == []
    live(page)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "secrets").write_text("open sesame\n")
    return str(tmp_path / "secrets")


def test_the_secret_is_asked_for_and_kept_in_memory(glockd: Spawner, visit: Visitor, secret: str) -> None:
    daemon = glockd("-auth-file", secret)
    # The page comes with the refusal: that a browser shows it, and asks for nothing, is the point.
    page = visit(daemon)
    dialog = page.get_by_role("dialog", name="This daemon wants a secret")
    expect(dialog).to_be_visible()
    expect(page.locator("#state")).to_have_text("locked")
    page.get_by_label("Secret", exact=True).fill("open barley")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("That was not it.")
    page.get_by_role("button", name="Not now").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Enter the secret").click()
    page.get_by_label("Secret", exact=True).fill("open sesame")
    page.keyboard.press("Enter")
    live(page)
    expect(shown(page, "connections")).to_have_text("1")
    page.keyboard.press("5")
    page.get_by_role("textbox", name="Command").fill("g job")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("1 Lock Get Success: job")
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert "sesame" not in page.content()


def unlocked(page: Page) -> Page:
    page.get_by_label("Secret", exact=True).fill("open sesame")
    page.keyboard.press("Enter")
    return live(page)


def test_a_client_is_kicked_from_the_page(glockd: Spawner, visit: Visitor, secret: str) -> None:
    daemon = glockd("-auth-file", secret, "-admin")
    alice, bob = daemon.stream(), daemon.stream()
    for client in (alice, bob):
        client.says("auth open sesame").hears("1 ok")
    alice.says("iam importer").hears("1 ok")
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("wait inf job")
    page = unlocked(visit(daemon))
    row(page, "job").get_by_role("link").click()
    page.locator("#lock").get_by_role("link", name="importer").first.click()
    detail = page.get_by_role("complementary", name="Client")
    dialog = page.get_by_role("alertdialog", name="Kick this client?")

    detail.get_by_role("button", name="Kick").click()
    expect(dialog).to_contain_text(f"importer, {alice.address}")
    expect(dialog).to_contain_text("It loses 1 lock, free for others at once.")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")  # what is safe
    expect(dialog).to_be_hidden()
    expect(detail.get_by_role("button", name="Kick")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    alice.says("ping").hears("1 pong")

    detail.get_by_role("button", name="Kick").click()
    dialog.get_by_role("button", name="Kick").click()
    bob.hears("1 Lock Get Success: job")
    alice.is_hung_up_on()
    expect(detail.get_by_role("status")).to_have_text("Kicked.")
    expect(detail).to_contain_text("It is gone, and its locks are free.")
    expect(detail.get_by_role("button", name="Kick")).to_be_hidden()
    expect(detail.get_by_role("heading", level=2)).to_be_focused()


def test_what_stands_against_a_kick_is_told(
    glockd: Spawner, visit: Visitor, tmp_path: Path, secret: str
) -> None:
    config = tmp_path / "glockd.toml"
    config.write_text(f'admin = true\nauth_file = "{secret}"\n')
    daemon = glockd("-config", str(config))
    alice = daemon.stream()
    alice.says("auth open sesame").hears("1 ok")
    page = unlocked(visit(daemon, f"#client/{alice.address}"))
    detail = page.get_by_role("complementary", name="Client")
    dialog = page.get_by_role("alertdialog", name="Kick this client?")

    detail.get_by_role("button", name="Kick").click()
    expect(dialog).to_contain_text("It holds nothing.")
    config.write_text(f'auth_file = "{secret}"\n')
    daemon.gets(signal.SIGHUP).logs("reloaded")
    dialog.get_by_role("button", name="Kick").click()
    expect(detail.get_by_role("status")).to_have_text("The daemon does not allow it any more.")
    alice.says("ping").hears("1 pong")

    config.write_text(f'admin = true\nauth_file = "{secret}"\n')
    daemon.gets(signal.SIGHUP)
    wait_until(lambda: daemon.stderr.count("reloaded") == 2)
    detail.get_by_role("button", name="Kick").click()
    alice.hangs_up()
    expect(detail).to_contain_text("It is gone")
    dialog.get_by_role("button", name="Kick").click()
    expect(detail.get_by_role("status")).to_have_text("It was gone already.")


@pytest.mark.parametrize("flags", [(), ("-admin",), ("-auth-file",), ("-auth-file", "-admin")])
def test_kicking_is_offered_only_where_it_is_allowed(
    glockd: Spawner, visit: Visitor, secret: str, flags: tuple[str, ...]
) -> None:
    daemon = glockd(*(f"{flag}={secret}" if flag == "-auth-file" else flag for flag in flags))
    alice = daemon.stream()
    alice.says("auth open sesame").hears("1 ok")
    page = visit(daemon, f"#client/{alice.address}")
    page = unlocked(page) if "-auth-file" in flags else live(page)
    detail = page.get_by_role("complementary", name="Client")
    expect(detail).to_contain_text("It holds nothing.")
    expect(detail.get_by_role("button", name="Kick")).to_be_visible(visible=len(flags) == 2)
    page.evaluate("location.hash = clientLink(mine)")
    expect(detail).to_contain_text("websocket")
    expect(detail.get_by_role("button", name="Kick")).to_be_hidden()  # its own branch


def test_nobody_is_asked_anything_while_nobody_looks(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    page = live(visit(daemon))
    alice = daemon.stream()

    def questions() -> int:
        alice.says("q")
        lines = [alice.hears_a_line()]
        while not lines[-1].startswith(b"shared_orphans"):
            lines.append(alice.receive_line())
        return sum(int(line.split()[1]) for line in lines if re.match(rb"command_(q|find)", line))

    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    hide += "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(hide % "true")
    page.wait_for_timeout(500)  # what was under way
    before = questions()
    page.wait_for_timeout(2500)
    assert questions() == before + 1  # this one
    page.evaluate(hide % "false")
    start = questions()
    page.wait_for_timeout(3000)
    asked = questions() - start
    assert 2 < asked < 20, asked  # a q and a find a second, and a page every other


def test_the_page_is_live_on_a_port_of_its_own(glockd: Spawner, visit: Visitor) -> None:
    daemon, address = with_http_port(glockd)
    daemon.ws = address
    page = live(visit(daemon))
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    expect(row(page, "job")).to_contain_text(alice.address)


def test_names_that_other_languages_give_are_told_apart(glockd: Spawner, visit: Visitor) -> None:
    """A line could not have typed them: HTML would show two blanks as one, and nothing of a NUL."""
    page = live(visit(glockd()))
    for name, shown_as in {
        "a job": "a job",
        "a  b": r"a \u{20}b",
        " a ": r"\u{20}a\u{20}",
        "a\nb": r"a\u{a}b",
        "a\0b": r"a\u{0}b",
        "a\u00a0b": r"a\u{a0}b",
        "a\u202eb": r"a\u{202e}b",
        "": "(empty name)",
    }.items():
        assert page.evaluate("name => visible(name)", name) == shown_as
        assert page.evaluate("name => label({ name, address: '' })", name) == shown_as
        assert page.evaluate("name => sayable(name)", name) is (name in ("a job", "a\0b", "a\u202eb", ""))


def test_a_lock_that_cannot_be_asked_for_is_not_taken_for_another(glockd: Spawner, visit: Visitor) -> None:
    daemon = glockd()
    daemon.stream().says("g a b").hears("1 Lock Get Success: a b")
    page = live(visit(daemon, "#lock/a%0Ab"))
    expect(page.locator("#lock h2")).to_have_text(r"a\u{a}b")
    expect(page.locator("#lock")).to_contain_text("cannot be asked for here")


def test_work_lists_are_shown_with_their_counts_and_who_has_what(visit: Visitor, glockd: Spawner) -> None:
    daemon = glockd()
    alice = daemon.stream()
    for item in ("one page", "two", "three"):
        alice.says(f"put to-print {item}").hears(f"1 Item Put Success: {item}")
    alice.says("iam printer").hears("1 ok")
    alice.says("take 0 to-print").hears("1 Item Take Success: one page")
    alice.says("take 0 to-print").hears("1 Item Take Success: two")
    alice.says("fail to-print two").hears("1 Item Fail Success: two")
    page = visit(daemon, "#work")
    row = page.locator("#list-work tbody tr")
    expect(row.locator("td")).to_have_text(["to-print", "1", "1", "", "", "1", ""])
    row.locator("a").click()
    expect(page.locator("#lock")).to_contain_text("printer")
    expect(page.locator("#lock")).to_contain_text("item one page")
    alice.says("done to-print one page").hears("1 Item Done Success: one page")
    alice.says("take 0 to-print").hears("1 Item Take Success: three")
    alice.says("done to-print three").hears("1 Item Done Success: three")
    page.goto(page.url.partition("#")[0] + "#work")
    expect(page.locator("#list-work")).to_contain_text("There is no work.")


def test_windows_are_a_strip_of_today_and_tomorrow_for_each_name(visit: Visitor, glockd: Spawner) -> None:
    daemon = glockd("-windows", "127.0.0.1:0")
    alice = daemon.stream()
    alice.says("iam nightly").hears("1 ok")
    number = int(alice.says("book now 3600 0 db main").hears_a_line().split()[0])
    alice.says("sbook +7200 60 0 web").hears_a_line()
    page = live(visit(daemon, "#windows"))
    rows = page.locator("#list-windows tbody tr")
    expect(rows.locator("th")).to_have_text(["db main", "web"])
    first = rows.nth(0).locator(".window")
    expect(first).to_have_class("window exclusive running")
    first.click()
    expect(page.locator("#list-windows .pager")).to_contain_text(
        f"exclusive, running, by nightly, number {number}"
    )
    expect(page.locator("#list-windows .pager")).to_contain_text("2 windows of 2 names")
    page.get_by_label("Search in names of windows").fill("WEB")
    expect(rows.locator("th")).to_have_text(["web"])
    page.get_by_label("Search in names of windows").fill("nothing")
    expect(page.locator("#list-windows")).to_contain_text("No window has “nothing” in its name.")
    page.get_by_label("Search in names of windows").fill("")
    alice.says(f"unbook {number}").hears(f"1 Unbooked: {number}")
    expect(rows.locator("th")).to_have_text(["web"])


def test_a_daemon_without_windows_says_how_to_have_them(visit: Visitor, glockd: Spawner) -> None:
    page = live(visit(glockd(), "#windows"))
    expect(page.locator("#list-windows")).to_contain_text(
        "The daemon books no windows. Start it with -windows"
    )
