let previous = null; // the counters before these, and when, and what this page had asked by then
const recent = [];   // counters of the last ten seconds, for rates that can be read

async function count() {
  const link = wire;
  const began = performance.now();
  const answer = await link.ask("q");
  const now = performance.now();
  put($("aside"), `${(now - began).toFixed(now - began < 10 ? 1 : 0)} ms`);
  const values = new Map(answer.trim().split("\n").map((line) => {
    const [key, value] = line.split(": ");
    return [key, Number(value)];
  }));
  let listing = null;
  if (inForce.includes("find")) listing = parse(await link.ask("find waited 0 1"));
  const sample = { now, values, asked: new Map(link.asked) };
  // The page's own questions are no load that an operator is interested in.
  const uses = (one, key) => (one.values.get("command_" + key) ?? 0) - (one.asked.get(key) ?? 0);
  const keys = [...values.keys()].filter((key) => key.startsWith("command_")).map((key) => key.slice(8));
  const rate = (since, key) => Math.max(0, (uses(sample, key) - uses(since, key)) * 1000 / (now - since.now));
  const all = (since) => keys.reduce((sum, key) => sum + rate(since, key), 0);
  const gap = previous === null && tiles[0].points.length > 0;
  const orphans = (one) => one.values.get("orphans") + one.values.get("shared_orphans");
  if (previous === null) recent.length = 0;
  for (const tile of tiles) {
    if (gap) tile.points.push([now, null]);
    if (tile.key === "waiting") {
      if (listing) tile.add(now, listing.waiting);
      else put(tile.note, "not told: -dump=false");
      tile.value.className = listing?.waiting ? "wait" : "";
    } else if (tile.key === "rate") {
      if (previous) tile.add(now, all(previous));
    } else if (tile.key === "orphans") {
      tile.add(now, orphans(sample));
    } else {
      tile.add(now, values.get(tile.key));
    }
  }
  previous = sample;
  recent.push(sample);
  while (recent.length > 11) recent.shift();
  if (view === "commands") {
    const since = recent[0] === sample ? null : recent[0];
    showVerbs(values, (key) => since ? rate(since, key) : 0, since);
  }
}

function showVerbs(values, rate, since) {
  const rows = VERBS.map(([syntax, does]) => [syntax, does, "command_" + syntax.split(" ", 1)[0]]);
  rows.push(["anything else", "invalid commands", "invalid_commands"]);
  const body = $("verbs");
  rows.forEach(([syntax, does, key], index) => {
    const row = body.rows[index] ?? body.appendChild(make("tr", {}, make("td", { className: "mono" }),
      make("td", { className: "does quiet" }), make("td", { className: "num" }), make("td", { className: "num" })));
    const value = values.get(key) ?? 0;
    const fast = !since ? 0 : key.startsWith("command_") ? rate(key.slice(8))
      : Math.max(0, (value - since.values.get(key)) * 1000 / (previous.now - since.now));
    const texts = [syntax, does, number(value), fast >= 10 ? number(fast) : fast ? fast.toFixed(1) : ""];
    texts.forEach((text, place) => put(row.cells[place], text));
    row.className = value ? "" : "quiet";
  });
}
