// Keys. Letters act only where nothing is typed, and can be switched off.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches("input, textarea");
  if (event.key === "Escape") {
    if (event.target.type === "search" && event.target.value) {
      event.target.value = "";
      lists[view].find();
    } else if (chosen !== null) {
      close();
    } else {
      return;
    }
    event.preventDefault();
    return;
  }
  if (moves(event, typing)) {
    event.preventDefault();
    return;
  }
  if (typing || !$("single").checked) return;
  if (event.key === "/") {
    (view === "terminal" || view === "commands" ? (location.hash = "#terminal", $("line")) : lists[view].input).focus();
  } else if (event.key >= "1" && event.key <= "7") {
    location.hash = "#" + VIEWS[event.key - 1];
  } else if (event.key === "p") {
    $("pause").click();
  } else if (event.key === "?") {
    $("keys").showModal();
  } else {
    return;
  }
  event.preventDefault();
});

// Arrows move along the list wherever the focus is, but in a text and where something scrolls.
function moves({ key, shiftKey, target }, typing) {
  if (shiftKey) return false;
  if (view === "terminal") {
    const by = { ArrowUp: -1, ArrowDown: 1 }[key];
    if (!by || target.id === "log" || (typing && target.id !== "line")) return false;
    recall(by);
    return true;
  }
  if (typing && !(target.type === "search" && key === "ArrowDown")) return false;
  return lists[view]?.step(key) ?? false;
}

$("help").onclick = () => $("keys").showModal();
