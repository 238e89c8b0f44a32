function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} m`;
  return `${number(Math.floor(s / 86400))} d ${two(Math.floor(s / 3600) % 24)} h`;
}

// Seconds since 1970 as this machine's date and time.
function stamp(seconds) {
  const time = new Date(seconds * 1000);
  return `${time.toLocaleDateString("en-CA")} ${clock(seconds)}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

function brief(seconds) {
  if (seconds < 0.001) return "< 1 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

// An age that goes on between two answers: `tick` keeps it right. Of nothing there is none.
function age(node, seconds, sign = 1) {
  if (seconds === undefined) {
    node.classList.remove("age");
    return put(node, "");
  }
  node.classList.add("age");
  node.age = { seconds, sign, at: performance.now() };
  put(node, duration(seconds));
}

function tick() {
  if (document.body.dataset.link !== "live" || document.hidden) return;
  const now = performance.now();
  for (const node of document.querySelectorAll(".age")) {
    put(node, duration(node.age.seconds + node.age.sign * (now - node.age.at) / 1000));
  }
}
