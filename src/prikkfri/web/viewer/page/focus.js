// Moves the focus with arrow keys, so that a remote or a keyboard is enough.
//
// A row is an element with data-row, a stop in it has data-stop. Left and right walk the stops of a row; up and down
// go to the next row, to the stop where one last was in it, or, the first time, to the one nearest by eye. The Tab key
// goes to every control, as everywhere.

const remembered = new WeakMap(); // row -> stop

const visible = (element) => element.getClientRects().length > 0;
const stopsOf = (row) => [...row.querySelectorAll("[data-stop]")].filter((stop) => !stop.disabled && visible(stop));
const rowOf = (element) => element?.closest("[data-row]") ?? null;

function rowsOf(root) {
  return [...root.querySelectorAll("[data-row]")].filter((row) => visible(row) && stopsOf(row).length > 0);
}

// The stop of `row` to enter it by, coming from `from` (an element, or null).
function entry(row, from) {
  const stops = stopsOf(row);
  const last = remembered.get(row);
  if (last && stops.includes(last)) return last;
  if (!from) return stops[0];
  const left = from.getBoundingClientRect().left;
  const distance = (stop) => Math.abs(stop.getBoundingClientRect().left - left);
  return stops.reduce((best, stop) => (distance(stop) < distance(best) ? stop : best));
}

// Gives the focus to `stop` and brings it into view.
export function focusOn(stop) {
  stop.focus({ preventScroll: true });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  stop.scrollIntoView({ block: "nearest", inline: "nearest", behavior: calm ? "auto" : "smooth" });
}

// Makes `stop` the place of its row: where the row is entered by arrows.
export function remember(stop) {
  const row = rowOf(stop);
  if (!row) return;
  remembered.set(row, stop);
}

// Gives each row of `root` a place to be entered by: where one last was in it, else its first.
export function rove(root) {
  for (const row of root.querySelectorAll("[data-row]")) {
    const last = remembered.get(row);
    const stop = last && row.contains(last) ? last : row.querySelector("[data-stop]");
    if (stop) remember(stop);
  }
}

export function watchFocus(root) {
  root.addEventListener("focusin", (event) => event.target.matches("[data-stop]") && remember(event.target));
}

// Moves within `root` by an arrow key. Returns whether there was somewhere to go.
export function move(root, key) {
  const from = document.activeElement;
  const row = rowOf(from);
  const rows = rowsOf(root);
  if (!row || !root.contains(row)) {
    if (!rows.length) return false;
    focusOn(entry(rows[0], null));
    return true;
  }
  let target = null;
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const stops = stopsOf(row);
    target = stops[stops.indexOf(from) + (key === "ArrowRight" ? 1 : -1)];
  } else {
    const next = rows[rows.indexOf(row) + (key === "ArrowDown" ? 1 : -1)];
    target = next && entry(next, from);
  }
  if (!target) return false;
  focusOn(target);
  return true;
}
