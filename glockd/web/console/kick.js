// Ending a client's session: where the daemon allows it to this page, and after a question.

let condemned = ""; // the address in question

function offerKick(session) {
  const button = $("client").kick;
  const focused = document.activeElement === button;
  button.hidden = !session || session.address === mine || !inForce.includes("kick");
  if (button.hidden && focused) $("client").querySelector("h2").focus({ preventScroll: true });
  button.onclick = () => askToKick(session);
}

function askToKick(session) {
  condemned = session.address;
  put($("kick-who"), session.name === null ? session.address : `${visible(session.name)}, ${session.address}`);
  const many = (count, one, more) => `${number(count)} ${count === 1 ? one : more}`;
  const holds = session.holds ? `It loses ${many(session.holds, "lock", "locks")}, free for others at once. ` : "It holds nothing. ";
  const waits = session.waits.length ? `It waits for ${many(session.waits.length, "lock", "locks")} no longer. ` : "";
  put($("kick-note"), holds + waits + "Its session ends, but its work does not: make sure that nothing goes on under a lock that is gone.");
  $("kick").returnValue = "";
  $("kick").showModal();
}

async function kick(address) {
  const answer = await wire.ask("kick " + address);
  if (chosen !== address) return;
  put($("client").said, answer.startsWith("0 Kicked") ? "It was gone already." : /^\d+ Kicked/.test(answer) ? "Kicked."
    : "The daemon does not allow it any more.");
  look();
}

$("kick").addEventListener("close", () => {
  if ($("kick").returnValue === "go" && wire) kick(condemned).catch(bear);
});
