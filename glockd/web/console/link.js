let wire = null;      // the connection that the counters and lists come over
let attempts = 0;
let retryAt = 0;
let retryTimer = 0;
let version = null;
let mine = "";        // this page's own address
let inForce = [];     // verbs
let paused = false;

function show(link, text, aside = "") {
  document.body.dataset.link = link;
  put($("state"), text);
  put($("aside"), aside);
  $("retry").hidden = link !== "lost";
  $("unlock").hidden = link !== "locked";
}

function connect() {
  clearTimeout(retryTimer);
  if (wire) return;
  show(attempts ? "lost" : "connecting", attempts ? "connecting again" : "connecting");
  const current = new Wire({ opened: greet, closed: lose });
  wire = current;
}

async function greet(link) {
  const [help, now, me] = await Promise.all([link.ask("help"), link.ask("version"), link.ask("me")]);
  secret.rejected = false;
  const words = help.trim().split(" ");
  inForce = words.slice(1, 1 + Number(words[0])); // behind them are words for people
  mine = me.split(" ")[1];
  const found = now.trim().replace(/^1 glockd /, "");
  version ??= found;
  attempts = 0;
  put($("daemon"), `${found} at ${location.host}` + (found === version ? "" : "; load this page anew, it came from " + version));
  listWords();
  previous = null;
  show("live", paused ? "paused" : "live");
  schedule(0);
}

function lose(error) {
  wire = null;
  clearTimeout(pollTimer);
  if (error instanceof Refused) {
    secret.rejected = secret.value !== null;
    secret.value = null;
    attempts = 0;
    show("locked", "locked");
    askSecret();
    return;
  }
  // Twice as long each time, and not all pages at the same moment.
  const pause = Math.min(LONGEST_PAUSE, 500 * 2 ** attempts) * (0.8 + 0.4 * Math.random());
  attempts += 1;
  retryAt = performance.now() + pause;
  show("lost", "no connection to the daemon");
  countDown();
  retryTimer = setTimeout(() => document.hidden || connect(), pause);
}

// Whoever answers nothing is not called live, long before the connection is given up.
function doubt() {
  const link = document.body.dataset.link;
  if (!wire || paused || document.hidden || (link !== "live" && link !== "silent")) return;
  const silence = performance.now() - wire.heard;
  if (silence > CALM && !wire.pending.length) wire.ask("ping").catch(bear);
  if (silence > DOUBT) {
    silenced = true;
    if (link === "live") show("silent", "no answer");
    put($("aside"), `for ${duration(silence / 1000)}`);
  } else if (link === "silent") {
    show("live", "live");
    schedule(0);
  }
}

function countDown() {
  if (document.body.dataset.link !== "lost" || wire) return;
  put($("aside"), `next attempt in ${Math.max(1, Math.ceil((retryAt - performance.now()) / 1000))} s`);
}

function askSecret() {
  const loopback = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  const open = location.protocol !== "https:" && !loopback;
  put($("ask-note"), (secret.rejected ? "That was not it. " : "") + (open ? "This connection is not encrypted. " : "") +
    "It is kept until you leave this page, and nowhere else.");
  $("secret").value = "";
  if (!$("ask").open) $("ask").showModal();
}

$("ask").addEventListener("close", () => {
  const given = $("secret").value;
  $("secret").value = "";
  if ($("ask").returnValue !== "go" || !given) return;
  secret.value = given;
  connect();
});
$("ask").addEventListener("cancel", () => { $("ask").returnValue = ""; });
$("unlock").onclick = askSecret;
$("retry").onclick = () => connect();
addEventListener("online", () => { if (document.body.dataset.link === "lost") connect(); });
document.addEventListener("visibilitychange", () => {
  clearTimeout(pollTimer);
  if (document.hidden) return;
  if (document.body.dataset.link === "lost" && !wire) connect();
  if (!wire) return;
  wire.heard = performance.now(); // nothing was asked meanwhile
  schedule(0);
});
