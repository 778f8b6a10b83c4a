// Keys of a page, and the list of them behind "?".

const known = new Map(); // key → [what it does, function]
const NAMES = { " ": "space", ArrowLeft: "←", ArrowRight: "→", Escape: "esc" };
const TEXT = "input:not([type=range]):not([type=checkbox]), textarea, select";

// does: key → [what it does, function]; an empty text keeps it out of the list.
export function onKeys(does) {
  for (const [key, what] of Object.entries(does)) known.set(key, what);
}

export function listKeys(list) {
  list.replaceChildren();
  for (const [key, [what]] of known) {
    if (!what) continue;
    const term = document.createElement("dt"), key_ = document.createElement("kbd");
    const description = document.createElement("dd");
    key_.textContent = NAMES[key] ?? key;
    description.textContent = what;
    term.append(key_);
    list.append(term, description);
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.matches(TEXT)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if ([" ", "Enter"].includes(event.key) && event.target.matches("a, button, summary, input, video")) return;
  const does = known.get(event.key);
  if (!does) return;
  event.preventDefault();
  does[1](event);
});
