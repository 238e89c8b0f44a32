// Views

const VIEWS = ["locks", "clients", "history", "commands", "terminal", "work", "windows"];
lists.windows = new Calendar($("list-windows"), $("search-windows"));
let view = "";

const whichLocks = () => lists.locks.what === "exclusive" ? "#locks" : "#locks/" + lists.locks.what;

function route() {
  const [head, ...tail] = location.hash.slice(1).split("/");
  let rest = tail.join("/");
  try { rest = decodeURIComponent(rest); } catch { /* as it stands, then */ }
  const kind = head === "lock" ? "locks" : head === "client" ? "clients" : VIEWS.includes(head) ? head : "locks";
  const detail = head === "lock" || head === "client" ? rest : null;
  const fresh = kind !== view;
  view = kind;
  for (const one of document.querySelectorAll("[data-view]")) one.hidden = one.dataset.view !== view;
  for (const one of document.querySelectorAll("nav.views a")) current(one, one.hash === "#" + view);
  if (view === "locks" && (detail === null || fresh && lists.locks.what === "locks")) {
    const what = ["shared", "waited"].includes(rest) && detail === null ? rest : "exclusive";
    lists.locks.turn_to(what);
  }
  if (view === "clients") lists.clients.turn_to("sessions");
  for (const one of document.querySelectorAll(".segments a")) current(one, one.hash === whichLocks());
  for (const box of [$("lock"), $("client")]) {
    const mine = detail !== null && box.id === head;
    if (!mine) {
      box.hidden = true;
      box.parentNode.classList.remove("open");
    }
  }
  if (detail !== null && (chosen !== detail || $(head).hidden)) {
    heavy = false;
    open(head, head === "lock" ? visible(detail) : detail);
  }
  chosen = detail;
  lists[view]?.mark();
  document.title = `${detail === null ? view : visible(detail)} · glockd`;
  if (view === "terminal") $("line").focus();
  if (document.body.dataset.link === "live") look();
}

function current(link, yes) {
  if (yes) {
    link.setAttribute("aria-current", "page");
    link.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  else link.removeAttribute("aria-current");
}

async function refresh() {
  await lists[view]?.refresh();
  if (chosen !== null && view === "locks") await explain(chosen);
  if (chosen !== null && view === "clients") await portray(chosen);
}

addEventListener("hashchange", route);
document.querySelector(".skip").onclick = (event) => {
  event.preventDefault();
  (lists[view]?.rows[0]?.anchor ?? $("main")).focus();
};
