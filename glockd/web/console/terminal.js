// The terminal: a connection of its own, so that a wait holds up nothing else, and what it locks is the person's.

let terminal = null;
const typed = [];
let recalled = 0;
const LINES = 2000; // of one answer
const ANSWERS = 400;

function print(text, css = "") {
  const log = $("log");
  const below = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
  log.append(make("pre", { className: css, textContent: text }));
  while (log.childElementCount > ANSWERS) log.firstChild.remove();
  if (below || css === "said") log.scrollTop = log.scrollHeight;
}

// JSON with whatever fits on one line.
function laid_out(value, indent = "") {
  const short = JSON.stringify(value);
  if (short.length < 160 || typeof value !== "object") return short.replace(/("(?:[^"\\]|\\.)*")|([:,])/g, (_, text, mark) => text ?? mark + " ");
  const inner = indent + "  ";
  const parts = Array.isArray(value) ? value.map((one) => inner + laid_out(one, inner))
    : Object.entries(value).map(([key, one]) => `${inner}${JSON.stringify(key)}: ${laid_out(one, inner)}`);
  const [open, shut] = Array.isArray(value) ? "[]" : "{}";
  return `${open}\n${parts.join(",\n")}\n${indent}${shut}`;
}

function pretty(answer) {
  const space = answer.indexOf(" ");
  if (/^\d+ [[{]/.test(answer) && answer.length < 1e5) {
    try {
      return answer.slice(0, space + 1) + laid_out(JSON.parse(answer.slice(space + 1)));
    } catch { /* not JSON after all */ }
  }
  const lines = answer.slice(0, 1e6).replace(/\r?\n$/, "").split("\n").slice(0, LINES);
  const text = lines.map((line) => harmless(line.replace(/\r$/, "") || " ")).join("\n");
  return answer.length > text.length + LINES + 2 ? `${text}\n… ${number(answer.length)} characters in all` : text;
}

function dial() {
  return new Promise((resolve, reject) => {
    const link = new Wire({
      opened: async (one) => {
        terminal = one;
        $("disconnect").disabled = false;
        resolve(one);
      },
      closed: (error) => {
        const was = terminal === link;
        if (was) terminal = null;
        $("disconnect").disabled = true;
        waits();
        reject(error);
        if (was && !link.asked_to) {
          print(error instanceof Refused ? "Not authorised." : "The connection has ended, and with it every lock that it held.", "note no");
        }
      },
      pushed: (line) => print(line.trimEnd(), "no"),
    });
  });
}

function waits() {
  clearTimeout(waits.timer);
  const waiting = () => terminal?.pending.some((one) => /^(wait|read|share)$/.test(one.first));
  if (waiting()) waits.timer = setTimeout(() => { $("cancel").hidden = !waiting(); }, 300);
  else $("cancel").hidden = true;
}

async function say(line) {
  print("› " + line, "said");
  try {
    const link = terminal ?? await (dial.pending ??= dial().finally(() => { dial.pending = null; }));
    const answer = link.ask(line, true);
    waits();
    const text = await answer;
    if (text === "") print("(an empty answer: no such command, or nothing to list)", "note");
    else print(pretty(text), text.startsWith("0 ") ? "no" : "");
  } catch (error) {
    bear(error);
    print("Not sent, or not answered: there is no connection.", "note no");
  } finally {
    waits();
  }
}

$("prompt").addEventListener("submit", (event) => {
  event.preventDefault();
  const line = $("line").value;
  $("line").value = "";
  if (!line.trim()) return;
  // A secret is neither shown nor remembered.
  const hidden = verbOf(line) === "auth";
  if (!hidden && typed.at(-1) !== line) typed.push(line);
  recalled = typed.length;
  if (hidden) {
    print("› auth …", "said");
    print("This page gives the secret by itself, to every connection that it opens.", "note");
  } else {
    say(line);
  }
});
// Earlier lines, and back.
function recall(by) {
  recalled = Math.min(typed.length, Math.max(0, recalled + by));
  $("line").value = typed[recalled] ?? "";
  $("line").focus();
}

$("line").addEventListener("keydown", (event) => {
  if (event.key === "l" && event.ctrlKey) {
    $("log").replaceChildren();
    event.preventDefault();
  }
});
$("cancel").onclick = () => { say("cancel"); $("line").focus(); };
$("disconnect").onclick = () => {
  terminal.asked_to = true;
  terminal.end(new Lost());
  print("Disconnected; what was held here is free.", "note");
  $("line").focus();
};

function listWords() {
  const syntax = new Map(VERBS.map((one) => [one[0].split(" ", 1)[0], one]));
  $("words").querySelector("ul").replaceChildren(...inForce.filter((word) => word !== "auth").map((word) => {
    const [form, does] = syntax.get(word) ?? [word, ""];
    return make("li", {}, make("button", { type: "button", onclick: () => {
      $("line").value = form === word ? word : word + " ";
      $("line").focus();
    } }, make("code", { textContent: form }), make("small", { textContent: does })));
  }));
}

$("words").open = matchMedia("(min-width: 1001px)").matches;
print("A connection of its own: what you lock here stays locked until you disconnect or leave this page.", "note");
