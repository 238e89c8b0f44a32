// An answer to `find`, `explain`: what is behind the number; null if the daemon does not tell.
function parse(answer) {
  const space = answer.indexOf(" ");
  return answer[space + 1] === "{" ? JSON.parse(answer.slice(space + 1)) : null;
}

// Entries from a place on, in as many questions as it takes.
async function collect(what, begin, text, valid, most = PAGE) {
  let next = begin, entries = [], total = 0;
  while (next !== null && entries.length < most && valid()) {
    const page = parse(await wire.ask(`find ${what} ${next} ${most - entries.length} ${text}`));
    if (page === null) return null;
    entries = entries.concat(page.entries);
    next = page.next;
    total = page.total;
  }
  return { entries, next, total };
}

const COLLATOR = new Intl.Collator("en", { numeric: true });

class List {
  constructor({ id, what = id, title, columns, key, link, empty, search, newest = false }) {
    Object.assign(this, { id, columns, key, link, empty, newest });
    this.what = what;
    this.text = "";
    this.rows = [];
    this.box = $("list-" + id);
    this.order = null; // which column it is sorted by, and which way; null: as the daemon gives it
    this.heads = columns.map((column) => this.head(column));
    this.body = make("tbody", { role: "rowgroup" });
    this.table = make("table", { className: "stack", role: "table", ariaLabel: title },
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...this.heads)), this.body);
    this.table.classList.toggle("sortable", columns.some(({ sort }) => sort));
    this.note = make("p", { className: "empty" });
    this.where = make("span", { className: "quiet" });
    this.back = make("button", { type: "button", textContent: "‹ Back", disabled: true, onclick: () => this.move(-1) });
    this.on = make("button", { type: "button", textContent: "On ›", disabled: true, onclick: () => this.move(1) });
    const first = make("button", { type: "button", textContent: "First", onclick: () => this.restart() });
    this.first = first;
    this.pager = make("div", { className: "pager" }, this.where, make("span", { className: "grow" }), first, this.back, this.on);
    this.box.append(this.table, this.note, this.pager);
    this.input = $(search);
    this.input.form.addEventListener("submit", (event) => { event.preventDefault(); this.find(); });
    this.input.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.find(), 200);
    });
    this.restart(false);
  }

  head(column) {
    const { head, css = "", small = "", sort } = column;
    const node = make("th", { className: `${css} ${small}`, role: "columnheader", scope: "col" });
    node.append(sort ? make("button", { type: "button", textContent: head, onclick: () => this.sort(column) }) : head);
    return node;
  }

  // By a column, then the other way round, then as the daemon gives it. What is most is what is looked for.
  sort(column) {
    const turned = this.order?.column === column ? this.order.turned : null;
    this.order = turned ? null : { column, turned: turned === false };
    this.columns.forEach((one, place) => {
      if (this.order?.column !== one) return this.heads[place].removeAttribute("aria-sort");
      this.heads[place].setAttribute("aria-sort", (one.css ?? "").includes("num") === this.order.turned ? "ascending" : "descending");
    });
    this.restart();
  }

  sorted(entries) {
    if (!this.order) return entries;
    const { column: { sort }, turned } = this.order;
    const compare = (one, other) => typeof one === "number" ? other - one : COLLATOR.compare(one, other);
    const [known, unknown] = [true, false].map((yes) => entries.filter((entry) => (sort(entry) !== undefined) === yes));
    known.sort((one, other) => (turned ? -1 : 1) * compare(sort(one), sort(other)));
    return [...known, ...unknown];
  }

  find() {
    clearTimeout(this.typing);
    const text = this.input.value.trim().replace(/\s+/g, " ");
    if (text !== this.text) {
      this.text = text;
      this.restart();
    }
  }

  restart(at_once = true) {
    this.starts = [0];
    this.counts = [0];
    this.page = null;
    this.serial = (this.serial ?? 0) + 1;
    if (at_once) look();
  }

  // Ask for other things of the same kind.
  turn_to(what) {
    if (what === this.what) return;
    this.what = what;
    this.restart(false);
  }

  move(by) {
    if (by < 0 && this.starts.length > 1) {
      this.starts.pop();
      this.counts.pop();
    } else if (by > 0 && this.page?.next) {
      this.starts.push(this.page.next);
      this.counts.push(this.counts.at(-1) + this.page.entries.length);
    } else {
      return;
    }
    this.page = null;
    this.serial += 1;
    look();
  }

  async refresh() {
    const serial = this.serial;
    put(this.where, this.page ? this.where.textContent : "looking …");
    const most = this.order ? SORTED : PAGE;
    const page = await collect(this.what, this.starts.at(-1), this.text, () => serial === this.serial, most);
    if (serial !== this.serial) return;
    if (page && !page.entries.length && this.starts.length > 1) return this.move(-1); // what was here is gone
    this.page = page;
    this.draw();
  }

  draw() {
    const { next, total } = this.page ?? { next: null, total: 0 };
    const entries = this.sorted(this.page?.entries ?? []);
    const focused = this.rows.find((row) => row.node.contains(document.activeElement));
    const key = focused?.key;
    while (this.rows.length > entries.length) this.rows.pop().node.remove();
    entries.forEach((entry, index) => {
      const row = this.rows[index] ?? this.add();
      row.key = this.key(entry);
      row.anchor.href = this.link(entry);
      row.fill.forEach((fill) => fill(entry));
    });
    if (focused && key !== focused.key) this.rows.find((row) => row.key === key)?.anchor.focus({ preventScroll: true });
    this.mark();
    this.rows.forEach((row, index) => { row.anchor.tabIndex = index ? -1 : 0; });
    const active = this.rows.find((row) => row.anchor === document.activeElement);
    if (active) this.rows.forEach((row) => { row.anchor.tabIndex = row === active ? 0 : -1; });
    this.table.hidden = !entries.length;
    this.note.hidden = entries.length > 0;
    if (!entries.length) this.note.replaceChildren(...this.empty(this.page, this.text, this.what));
    const begin = this.counts.at(-1);
    const some = entries.length ? `${number(begin + 1)}–${number(begin + entries.length)}` : "none";
    const parts = this.starts.length > 1 || next !== null ? ", sorted among themselves" : "";
    put(this.where, (this.text ? `${some} of those with “${this.text}”, among ${number(total)}` : `${some} of ${number(total)}`) + (this.order ? parts : ""));
    this.pager.hidden = !this.page || (!entries.length && !this.text);
    this.first.hidden = this.back.hidden = this.on.hidden = this.starts.length < 2 && next === null;
    this.back.disabled = this.first.disabled = this.starts.length < 2;
    this.on.disabled = next === null;
  }

  add() {
    const anchor = make("a", {});
    const cells = this.columns.map(({ css = "", small = "" }) => make("td", { className: `${css} ${small}`, role: "cell" }));
    cells[0].append(anchor);
    const node = make("tr", { role: "row", onclick: (event) => { if (!event.target.closest("a") && !String(getSelection())) anchor.click(); } }, ...cells);
    const row = { node, anchor, fill: this.columns.map((column, place) => (entry) => column.fill(place ? cells[place] : anchor, entry)) };
    this.rows.push(row);
    this.body.append(node);
    return row;
  }

  mark() {
    for (const row of this.rows) {
      if (row.anchor.getAttribute("href") === location.hash) row.node.setAttribute("aria-current", "true");
      else row.node.removeAttribute("aria-current");
    }
  }

  // A key that moves along the list, from wherever the focus is: back to the row it was on, if it is none; whether it is one.
  step(key) {
    if (key === "ArrowLeft" || key === "ArrowRight") {
      this.move(key === "ArrowLeft" ? -1 : 1);
      return true;
    }
    const end = this.rows.length - 1;
    const at = this.rows.findIndex((row) => row.anchor === document.activeElement);
    const open = this.rows.findIndex((row) => row.node.hasAttribute("aria-current"));
    const left = open >= 0 ? open : this.rows.findIndex((row) => row.anchor.tabIndex === 0);
    const to = { ArrowUp: at < 0 ? left : at - 1, ArrowDown: at < 0 ? left : at + 1, Home: 0, End: end }[key];
    if (to === undefined || end < 0) return false;
    const row = this.rows[Math.min(end, Math.max(0, to))];
    this.rows.forEach((one) => { one.anchor.tabIndex = one === row ? 0 : -1; });
    row.anchor.focus();
    return true;
  }
}
