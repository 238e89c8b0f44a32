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
  if (typing || !$("single").checked) return;
  if (event.key === "/") {
    (view === "terminal" || view === "commands" ? (location.hash = "#terminal", $("line")) : lists[view].input).focus();
  } else if (event.key >= "1" && event.key <= "5") {
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
$("help").onclick = () => $("keys").showModal();
