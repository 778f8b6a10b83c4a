// Tables, buttons and forms of the settings.

import { attempt } from "./page.js";
import { make } from "./words.js";

export function fill(table, rows) {
  table.tBodies[0].replaceChildren(...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell ?? "")))));
}

// A button that asks once more before it does what can't be undone.
export function button(label, does, isFinal = true) {
  const made = make("button", { type: "button" }, label);
  let isSure = !isFinal;
  made.addEventListener("click", () => {
    if (isSure) {
      attempt(does);
      return;
    }
    isSure = true;
    made.textContent = `${label}: sure?`;
    setTimeout(() => {
      isSure = false;
      made.textContent = label;
    }, 4000);
  });
  return made;
}

export function onSubmit(form, does) {
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await attempt(() => does(Object.fromEntries(new FormData(form))))) form.reset();
  });
}
