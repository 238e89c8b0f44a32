// Looking at the daemon, at a pace that it does not feel

let pollTimer = 0;
let polling = false;
let again = false;
let turn = 0;
let silenced = false; // the daemon has said nothing for a while since the look in progress began

function schedule(delay) {
  clearTimeout(pollTimer);
  pollTimer = setTimeout(poll, delay);
}

async function poll() {
  if (polling || paused || document.hidden || document.body.dataset.link !== "live") return;
  polling = true;
  silenced = false;
  const began = performance.now();
  try {
    if (!previous || began - previous.now > 0.9 * PACE) await count();
    if (turn++ % 2 === 0 || again) {
      again = false;
      await refresh();
    }
  } catch (error) {
    bear(error);
  } finally {
    polling = false;
    if (document.body.dataset.link === "live") {
      // Silence is no cost of an answer: who comes back is looked at again at once.
      schedule(again || silenced ? 0 : Math.max(PACE, (performance.now() - began) * SHARE));
    }
  }
}

// Show what the person has just asked for, without waiting for the next turn; one look at a time even then.
function look() {
  again = true;
  if (polling) return;
  clearTimeout(pollTimer);
  if (paused) {
    again = false;
    refresh().catch(bear);
  } else {
    poll();
  }
}

$("pause").onclick = () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  put($("pause"), paused ? "Go on" : "Pause");
  if (["live", "silent"].includes(document.body.dataset.link)) show("live", paused ? "paused" : "live");
  if (!paused) {
    previous = null;
    if (wire) wire.heard = performance.now(); // nothing was asked meanwhile
    schedule(0);
  }
};
