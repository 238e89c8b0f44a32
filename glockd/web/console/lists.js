const off = (what) => [make("span", {}, `The daemon does not tell ${what}: it was started with `, make("code", { textContent: "-dump=false" }), ".")];

// What is to be said of a lock beside its holder: whose namespace it is in, if not everybody's.
const aside = (table, mode) => table !== "exclusive" ? ` (${table})` : mode === "read" ? " (reader)" : "";

const lockColumns = [
  { head: "Lock", css: "mono", sort: (lock) => lock.name, fill: (node, lock) => { put(node, visible(lock.name)); node.title = visible(lock.name); } },
  { head: "Holder", css: "w-who", small: "second", fill: (node, lock) => {
    const more = lock.holders > 1 ? ` and ${number(lock.holders - 1)} more` : "";
    // A pool may be waited for without a unit in it.
    put(node, (lock.holder ? label(lock.holder) : "nobody") + aside(lock.table, lock.holder?.mode) + more);
  } },
  { head: "Held for", css: "num w-age", small: "third", sort: (lock) => lock.holder?.seconds, fill: (node, lock) => age(node, lock.holder?.seconds) },
  { head: "Waiting", css: "num wait w-small", sort: (lock) => lock.waiters, fill: (node, lock) => put(node, lock.waiters ? number(lock.waiters) : "") },
];

const lists = {
  locks: new List({
    id: "locks", title: "Locks", search: "search-locks", columns: lockColumns,
    key: (lock) => lock.table + " " + lock.name,
    link: (lock) => lockLink(lock.name),
    empty: (page, text, what) => !page ? off("its locks") : [text ? `No such lock has “${text}” in its name.`
      : what === "waited" ? "Nobody waits." : `No ${what} locks are held.`],
  }),
  work: new List({
    id: "work", what: "pools", title: "Work lists", search: "search-work",
    key: (pool) => pool.pool,
    link: (pool) => lockLink(pool.pool),
    empty: (page, text) => page ? [text ? `No work list has “${text}” in its name.` : "There is no work."] : off("its work lists"),
    columns: [
      { head: "List", css: "mono", sort: (pool) => pool.pool, fill: (node, pool) => { put(node, visible(pool.pool)); node.title = visible(pool.pool); } },
      ...[["Free", "second"], ["Held", "third"], ["Waiting", "wide wait"], ["Done", "hide"], ["Failed", "hide wait"], ["Orphaned", "hide rare wait"]].map(([head, small]) => {
        const count = (pool) => pool[head.toLowerCase()];
        return { head, css: "num w-small", small, sort: count, fill: (node, pool) => put(node, count(pool) ? number(count(pool)) : "") };
      }),
    ],
  }),
  clients: new List({
    id: "clients", title: "Clients", search: "search-clients",
    key: (session) => session.address,
    link: (session) => clientLink(session.address),
    empty: (page, text) => page ? [`No client has “${text}” in its address or name.`] : off("its clients"),
    columns: [
      { head: "Client", sort: label, fill: (node, one) => put(node, label(one) + (one.address === mine ? " (this page)" : "")) },
      { head: "Address", css: "quiet w-mid", small: "second", fill: (node, one) => put(node, one.name === null ? "" : one.address) },
      { head: "By", css: "quiet w-age", small: "third", fill: (node, one) => put(node, carrier(one)) },
      { head: "Connected", css: "num w-age", small: "hide", sort: (one) => one.seconds, fill: (node, one) => age(node, one.seconds) },
      { head: "Holds", css: "num w-small", small: "hide", sort: (one) => one.holds, fill: (node, one) => put(node, one.holds ? number(one.holds) : "") },
      { head: "Waits for", css: "mono wait", small: "wide", fill: (node, one) => put(node, one.waits.map((wait) => visible(wait.name)).join(", ")) },
    ],
  }),
  history: new List({
    id: "history", title: "Events, newest first", search: "search-history", newest: true,
    key: (event) => `${event.time} ${event.event} ${event.token} ${event.address} ${event.lock}`,
    link: (event) => lockLink(event.lock),
    empty: (page, text) => page ? [text ? `Nothing has happened lately to a lock with “${text}” in its name.` : "Nothing has happened yet."]
      : inForce.includes("find") ? [make("span", {}, "The daemon keeps no history. Start it with ", make("code", { textContent: "-history 4096" }),
        " (or ", make("code", { textContent: "GLOCKD_HISTORY=4096" }), ") and it remembers that many events.")] : off("its history"),
    columns: [
      { head: "Lock", css: "mono", fill: (node, event) => { put(node, visible(event.lock)); node.title = visible(event.lock); } },
      { head: "Event", css: "w-mid", fill: (node, event) => {
        put(node, event.event + aside(event.table, event.mode));
        node.classList.toggle("wait", ["orphaned", "expired", "timed out", "refused", "kicked"].includes(event.event));
      } },
      { head: "Client", css: "w-mid", small: "second", fill: (node, event) => put(node, label(event)) },
      { head: "Waited", css: "num w-small", small: "hide rare", fill: (node, event) => put(node, event.waited ? brief(event.waited) : "") },
      { head: "Held", css: "num w-age", small: "hide", fill: (node, event) => put(node, event.held || /released|orphaned|expired|kicked/.test(event.event) && event.token ? brief(event.held) : "") },
      { head: "Detail", css: "quiet", small: "hide rare", fill: (node, event) => { put(node, event.detail); node.title = event.detail; } },
      { head: "Time", css: "num w-time", small: "third", fill: (node, event) => put(node, stamp(event.time)) },
    ],
  }),
};
