// Details

let chosen = null;   // what the details are about: a lock's name, a client's address
let heavy = false;   // explaining it costs too much to do it by itself

function open(kind, title) {
  const box = $(kind);
  const heading = make("h2", { tabIndex: -1, textContent: title });
  const body = make("div", {});
  box.kick = make("button", { type: "button", className: "danger", textContent: "Kick …", hidden: true });
  box.said = make("p", { className: "said", role: "status" });
  box.replaceChildren(make("div", { className: "top" }, heading, box.kick,
    make("button", { type: "button", textContent: "Close", onclick: close })), box.said, body);
  box.body = body;
  box.hidden = false;
  box.parentNode.classList.add("open");
  heading.focus({ preventScroll: true });
  if (matchMedia("(max-width: 1000px)").matches) box.scrollIntoView({ block: "nearest" });
}

function close() {
  const list = lists[view];
  const from = location.hash;
  location.hash = view === "locks" ? whichLocks() : "#clients";
  const row = list.rows.find((one) => one.anchor.getAttribute("href") === from) ?? list.rows[0];
  (row?.anchor ?? list.input).focus();
}

function who(session) {
  return make("span", {}, make("a", { href: clientLink(session.address), textContent: label(session) }),
    session.name === null ? "" : make("span", { className: "quiet", textContent: ` ${session.address}` }));
}

function aged(seconds, sign = 1, css = "") {
  const node = make("span", { className: css });
  age(node, seconds, sign);
  return node;
}

function block(title, count, items) {
  const rest = count - items.length;
  return make("section", {}, make("h3", {}, make("span", { textContent: title }), make("span", { textContent: count > 1 ? number(count) : "" })),
    make("ol", {}, ...items), rest > 0 ? make("p", { className: "quiet", textContent: `and ${number(rest)} more` }) : "");
}

function second(...parts) {
  const node = make("span", { className: "second" });
  parts.filter(Boolean).forEach((part, index) => node.append(index ? " · " : "", part));
  return node;
}

function holders(title, holds) {
  return block(title, holds.length, holds.slice(0, SHOWN).map((hold) => make("li", { className: "one" }, who(hold), aged(hold.seconds),
    second(carrier(hold), `token ${hold.token}`, hold.key ? `key ${visible(hold.key)}…` : "", hold.item ? `item ${visible(hold.item)}` : "", hold.lease === null ? "" : make("span", {}, "lease ends in ", aged(hold.lease, -1))))));
}

function waiters(title, waits) {
  const mode = (wait) => wait.mode === "read" ? "as a reader" : wait.limit === null ? "" : `if fewer than ${number(wait.limit)} hold it`;
  return block(title, waits.length, waits.slice(0, SHOWN).map((wait) => make("li", { className: "one" },
    make("span", {}, make("span", { className: "quiet", textContent: `${wait.place}. ` }), who(wait)), aged(wait.seconds, 1, "wait"),
    second(carrier(wait), mode(wait), wait.timeout === null ? "" : make("span", {}, "gives up in ", aged(wait.timeout, -1))))));
}

// The namespaces in which somebody holds a name or waits for it.
const used = (found) => Object.entries(found).filter(([, table]) => table.holders?.length || table.waiters?.length);

function titles(kind, readers) {
  if (kind === "exclusive") return [readers ? "Held by readers" : "Held by", "Waiting, next first"];
  if (kind === "shared") return ["Shared by", "Waiting for a share, next first"];
  return [`Held by, among ${kind}`, `Waiting, among ${kind}, next first`];
}

async function explain(name, forced = false) {
  if (heavy && !forced) return;
  if (!sayable(name)) {
    fill($("lock"), [make("section", { className: "quiet", textContent: "Another language gave it this name, which cannot be asked for here." })]);
    return;
  }
  let answer = await wire.ask("explain " + name);
  let found = parse(answer);
  if (/\\x[89a-f]/.test(name) && found && !used(found).length) {
    answer = await wire.ask(unescaped("explain " + name));
    found = parse(answer);
  }
  let events = [];
  if (found && inForce.includes("history")) {
    const page = await collect("history", 0, name, () => true);
    events = page.entries.filter((event) => event.lock === found.name).slice(0, 12);
  }
  if (chosen !== name || view !== "locks") return;
  heavy = answer.length > HEAVY;
  const parts = [];
  if (!found) {
    parts.push(make("p", { className: "empty" }, ...off("who holds what")));
  } else {
    for (const [kind, table] of used(found)) {
      const [held, waited] = titles(kind, table.holders[0]?.mode === "read");
      if (table.holders.length) parts.push(holders(held, table.holders));
      if (table.waiters.length) parts.push(waiters(waited, table.waiters));
    }
    if (!parts.length) parts.push(make("section", { className: "quiet", textContent: "Nobody holds it now." }));
  }
  if (events.length) {
    parts.push(block("Lately", events.length, events.map((event) => make("li", { className: "one" },
      make("span", {}, `${event.event} `, who(event)),
      second(stamp(event.time), event.item ? `item ${visible(event.item)}` : "", event.waited ? `waited ${brief(event.waited)}` : "", event.held ? `held ${brief(event.held)}` : "", event.detail)))));
  }
  if (heavy) {
    parts.push(make("section", {}, make("span", { className: "quiet", textContent: `So many that this is as of ${clock(Date.now() / 1000)}. ` }),
      make("button", { type: "button", textContent: "Ask again", onclick: () => explain(name, true) })));
  }
  fill($("lock"), parts);
}

// New content, with the focus where it was.
function fill(box, parts) {
  const body = box.body;
  const active = body.contains(document.activeElement) ? document.activeElement : null;
  const same = (node) => [...node.querySelectorAll("a, button")].findIndex((one) => one === active);
  const at = active ? same(body) : -1;
  body.replaceChildren(...parts);
  if (active) ([...body.querySelectorAll("a, button")][at] ?? box.querySelector("h2")).focus({ preventScroll: true });
}

async function portray(address) {
  const valid = () => chosen === address && view === "clients";
  let next = 0, session;
  while (next !== null && !session && valid()) {
    const page = await collect("sessions", next, address, valid);
    if (!page) break;
    session = page.entries.find((one) => one.address === address);
    next = page.next;
  }
  const held = session ? await collect("held", 0, address, valid) : null;
  if (!valid()) return;
  offerKick(session);
  if (!session) {
    fill($("client"), [make("section", { className: "quiet", textContent: inForce.includes("find") ? "It is gone, and its locks are free." : "The daemon does not tell." })]);
    return;
  }
  const locks = held.entries.map((lock) => make("li", { className: "one" },
    make("a", { className: "mono", href: lockLink(lock.name), textContent: visible(lock.name) }), aged(lock.holder.seconds),
    lock.holder.mode === "write" && !lock.waiters && lock.holder.lease === null ? "" : second(
      { write: "", read: "as a reader", shared: "shared", unit: "a unit" }[lock.holder.mode],
      lock.waiters ? make("span", { className: "wait", textContent: `${number(lock.waiters)} waiting` }) : "",
      lock.holder.lease === null ? "" : make("span", {}, "lease ends in ", aged(lock.holder.lease, -1)))));
  const about = [["Registered name", session.name === null ? "none" : visible(session.name)], ["Connection", session.transport ?? "none"]]
    .map(([key, value]) => make("li", { className: "one" }, make("span", { className: "quiet", textContent: key }), value));
  about.push(make("li", { className: "one" }, make("span", { className: "quiet", textContent: "Connected for" }), aged(session.seconds)));
  const parts = [make("section", {}, make("ol", {}, ...about))];
  if (session.waits.length) {
    parts.push(block("Waits for", session.waits.length, session.waits.map((wait) => make("li", { className: "one" },
      make("a", { className: "mono", href: lockLink(wait.name), textContent: visible(wait.name) }), aged(wait.seconds, 1, "wait")))));
  }
  parts.push(locks.length ? block("Holds", session.holds, locks) : make("section", { className: "quiet", textContent: "It holds nothing." }));
  fill($("client"), parts);
}
