// Windows, as a strip of today and tomorrow for each name

const DAYS = 2;
const NAMES = 60;           // that are drawn
const REST = 5000;          // milliseconds between two looks at the calendar, at least

// Midnight, so many days from now, in milliseconds; a day of summer time's end has 25 hours.
function midnight(days) {
  const now = new Date();
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + days).getTime();
}

class Calendar {
  constructor(box, input) {
    this.box = box;
    this.input = input;
    this.rows = [];
    this.text = "";
    this.looked = -Infinity;
    this.table = make("table", { className: "calendar", ariaLabel: "Windows, today and tomorrow" });
    this.note = make("p", { className: "empty", textContent: "looking …" });
    this.foot = make("p", { className: "pager quiet" });
    box.append(this.table, this.note, this.foot);
    input.form.addEventListener("submit", (event) => event.preventDefault());
    input.addEventListener("input", () => this.find());
  }

  // What is looked for is here already.
  find() {
    this.text = this.input.value.trim().replace(/\s+/g, " ").toLowerCase();
    if (this.windows) this.draw();
  }

  mark() {}

  async refresh() {
    const now = performance.now();
    if (now - this.looked < REST && !again && this.windows) return this.draw();
    if (this.heavy && this.windows) return this.draw();
    if (!inForce.includes("bookings")) {
      this.windows = null;
      return this.say(inForce.includes("book") ? off("its windows") : [make("span", {}, "The daemon books no windows. Start it with ",
        make("code", { textContent: "-windows localhost:8443" }), " and it does.")]);
    }
    const answer = await wire.ask("bookings");
    this.looked = now;
    this.heavy = answer.length > 20 * HEAVY;
    this.at = Date.now();
    this.windows = JSON.parse(answer.slice(answer.indexOf(" ") + 1));
    this.draw();
  }

  say(parts) {
    this.table.hidden = this.foot.hidden = true;
    this.note.hidden = false;
    this.note.replaceChildren(...parts);
  }

  draw() {
    const begin = midnight(0), end = midnight(DAYS);
    const shown = this.windows.filter((one) => Date.parse(one.start) < end && Date.parse(one.end) > begin);
    const fitting = shown.filter((one) => one.name.toLowerCase().includes(this.text));
    const later = this.windows.length - shown.length;
    if (!fitting.length) {
      const more = later ? ` ${number(later)} lie further ahead.` : "";
      return this.say([(this.text ? `No window has “${this.text}” in its name.` : "No windows today and tomorrow.") + more]);
    }
    const names = new Map();
    for (const one of fitting) names.set(one.name, [...(names.get(one.name) ?? []), one]);
    this.table.hidden = this.foot.hidden = false;
    this.note.hidden = true;
    const focus = document.activeElement?.dataset?.id;
    const span = end - begin;
    const place = (moment) => `${100 * Math.min(1, Math.max(0, (moment - begin) / span))}%`;
    const body = make("tbody", {}, ...[...names].slice(0, NAMES).map(([name, windows]) => this.row(name, windows, place)));
    this.table.replaceChildren(this.head(begin, place), body);
    this.rows = [...body.querySelectorAll(".window")].map((node) => ({ node, anchor: node }));
    this.rows.forEach(({ anchor }, index) => { anchor.tabIndex = index ? -1 : 0; });
    if (focus) this.rows.find(({ node }) => node.dataset.id === focus)?.anchor.focus({ preventScroll: true });
    const parts = [`${number(fitting.length)} ${fitting.length === 1 ? "window" : "windows"} of ${number(names.size)} ${names.size === 1 ? "name" : "names"}`];
    if (names.size > NAMES) parts.push(`the first ${NAMES} are shown`);
    if (later) parts.push(`${number(later)} further ahead`);
    if (this.heavy) parts.push(`as of ${clock(this.at / 1000)}: they are too many to be asked for again by themselves`);
    const picked = fitting.find((one) => one.id === this.picked);
    if (picked) parts.unshift(`${visible(picked.name)}: ${this.said(picked)}`);
    put(this.foot, parts.join(" · "));
  }

  head(begin, place) {
    const scale = make("th", { className: "scale", scope: "col" });
    for (let hour = 0; hour < 24 * DAYS; hour += 6) {
      const at = new Date(begin);
      at.setHours(hour);
      const day = hour % 24 === 0 ? at.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short" }) : "";
      const label = make("span", { className: day ? "day" : hour % 12 ? "hide" : "", textContent: day || at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" }) });
      label.style.left = place(at.getTime());
      scale.append(label);
    }
    return make("thead", {}, make("tr", {}, make("th", { scope: "col", textContent: "Name", className: "w-who" }), scale));
  }

  row(name, windows, place) {
    const strip = make("td", { className: "strip" });
    const now = make("span", { className: "now" });
    now.style.left = place(Date.now());
    strip.append(now, ...windows.map((one) => this.window(one, place)));
    return make("tr", {}, make("th", { scope: "row", className: "mono w-who", title: visible(name), textContent: visible(name) }), strip);
  }

  said(one) {
    const hours = (text) => new Date(text).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: text.endsWith(":00Z") ? undefined : "2-digit" });
    return `${hours(one.start)}–${hours(one.end)} ${one.mode}, ${one.state}, by ${harmless(one.by)}, number ${one.id}`;
  }

  window(one, place) {
    const [start, end] = [Date.parse(one.start), Date.parse(one.end)];
    const said = this.said(one);
    const node = make("button", { type: "button", className: `window ${one.mode} ${one.state}`, title: said, ariaLabel: `${visible(one.name)}: ${said}` });
    node.dataset.id = one.id;
    node.style.left = place(start);
    node.style.right = `calc(100% - ${place(end)})`;
    node.onclick = () => { this.picked = one.id; this.draw(); };
    return node;
  }

  step(key) {
    const at = this.rows.findIndex(({ anchor }) => anchor === document.activeElement);
    const last = this.rows.length - 1;
    const to = { ArrowUp: at - 1, ArrowLeft: at - 1, ArrowDown: at + 1, ArrowRight: at + 1, Home: 0, End: last }[key];
    if (to === undefined || last < 0) return false;
    const row = this.rows[Math.min(last, Math.max(0, to))];
    this.rows.forEach((one) => { one.anchor.tabIndex = one === row ? 0 : -1; });
    row.anchor.focus();
    return true;
  }
}
