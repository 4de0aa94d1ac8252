// Puts the newest figures in place of the old ones; what was opened stays open and what was chosen stays chosen.
// Without scripts the page reloads itself instead.
const board = document.getElementById("board");

async function refresh() {
  try {
    const answer = await fetch("/ops/fragment", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const figures = await answer.text();
    const open = [...board.querySelectorAll("details[open]")].map((each) => each.id);
    const chosen = document.activeElement && board.contains(document.activeElement) ? document.activeElement.id : "";
    board.innerHTML = figures;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (chosen) document.getElementById(chosen)?.focus({ preventScroll: true });
    document.body.classList.remove("away");
  } catch {
    document.body.classList.add("away");
  }
  setTimeout(refresh, document.hidden ? 10_000 : 2_000);
}
setTimeout(refresh, 2_000);
