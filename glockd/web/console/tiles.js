// Counters, each with its chart

const tiles = [
  ["locks", "Exclusive locks", "#locks"],
  ["shared_locks", "Shared locks", "#locks/shared"],
  ["waiting", "Waiting", "#locks/waited"],
  ["connections", "Connections", "#clients"],
  ["rate", "Commands per second", "#commands"],
  ["orphans", "Orphaned since start", "#history"],
].map(([key, title, href]) => new Tile(key, title, href));

function Tile(key, title, href) {
  this.key = key;
  this.points = [];
  const svg = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  this.area = svg("path", { class: "area" });
  this.curve = svg("path", { class: "curve" });
  this.chart = svg("svg", { viewBox: "0 0 300 34", preserveAspectRatio: "none", role: "img" });
  this.chart.append(this.area, this.curve);
  this.value = make("b", { textContent: "–" });
  this.note = make("small", { textContent: "\u00a0" });
  this.title = title;
  $("tiles").append(make("figure", { className: "tile", id: "tile-" + key },
    make("figcaption", {}, make("a", { href, className: "quiet", textContent: title })), this.value, this.note, this.chart));
  this.chart.addEventListener("pointermove", (event) => this.read(event));
  this.chart.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
}

// A point is [milliseconds, value]; null instead of a value is a gap.
Tile.prototype.add = function (now, value, shown = value) {
  if (value !== null) put(this.value, number(shown));
  this.points.push([now, value]);
  while (this.points.length && this.points[0][0] < now - WINDOW) this.points.shift();
  this.draw();
};

Tile.prototype.draw = function () {
  const known = this.points.filter(([, value]) => value !== null);
  if (!known.length) return;
  const now = this.points.at(-1)[0];
  const values = known.map(([, value]) => value);
  const low = Math.min(...values), high = Math.max(...values);
  // From zero, unless that would flatten what there is to see.
  const base = low > high / 2 ? low - (high - low || high || 1) : 0;
  const x = (time) => (300 - 300 * (now - time) / this.span()).toFixed(1);
  const y = (value) => (32 - 28 * (value - base) / (high - base || 1)).toFixed(1);
  let curve = "", area = "", run = [];
  for (const point of [...this.points, [now, null]]) {
    if (point[1] !== null) {
      run.push(`${x(point[0])} ${y(point[1])}`);
    } else if (run.length) {
      curve += "M" + run.join("L");
      area += `M${run[0].split(" ")[0]} 34L${run.join("L")}L${run.at(-1).split(" ")[0]} 34Z`;
      run = [];
    }
  }
  this.curve.setAttribute("d", curve);
  this.area.setAttribute("d", area);
  const span = this.points.at(-1)[0] - this.points[0][0];
  const time = span < 90e3 ? `${Math.round(span / 1000)} s` : `${Math.round(span / 60e3)} min`;
  const text = low === high ? (span < 1000 ? "\u00a0" : `steady for ${time}`) : `${number(low)} to ${number(high)} in ${time}`;
  this.chart.setAttribute("aria-label", `${this.title}: ${text}`);
  if (!this.pointer) put(this.note, text);
};

// The chart is full after a minute, and shows ever more until it shows the whole window.
Tile.prototype.span = function () {
  return Math.max(60e3, this.points.at(-1)[0] - this.points[0][0]);
};

Tile.prototype.read = function (event) {
  const box = this.chart.getBoundingClientRect();
  if (!this.points.length) return;
  const time = this.points.at(-1)[0] - this.span() * (1 - (event.clientX - box.left) / box.width);
  const near = this.points.filter(([, value]) => value !== null)
    .reduce((best, point) => !best || Math.abs(point[0] - time) < Math.abs(best[0] - time) ? point : best, null);
  this.pointer = near;
  if (near) put(this.note, `${number(near[1])}, ${duration((performance.now() - near[0]) / 1000)} ago`);
};
