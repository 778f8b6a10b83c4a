// All events, by what is known of them; what is asked for stands in the address, so that it can be sent to others.

import { get } from "./api.js";
import { cardOf } from "./event.js";
import { onKeys } from "./keys.js";
import { attempt, ready } from "./page.js";
import { count, make } from "./words.js";

const $ = (selector) => document.querySelector(selector);
const form = $("#filters"), found = $("#found");
let next = null, asked = 0;
let wordsProblem = null; // why pictures aren't found by words

const given = () => Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));

function query() {
  const values = given();
  for (const name of ["since", "until"]) {
    if (values[name]) values[name] = new Date(values[name]).toISOString(); // the form's times are the reader's
  }
  return { ...values, limit: 48 };
}

// By words of what pictures show; what fits best comes first, whatever the order.
async function searchPictures() {
  const mine = ++asked, { q: _q, order: _order, ...wanted } = query();
  const { events, problem, n_compared: compared, is_behind: isBehind } = await get("events/showing", wanted);
  if (mine !== asked) return;
  next = null;
  found.replaceChildren(...events.map(({ event, likeness }) => cardOf(event, `fits ${likeness.toFixed(2)}`)));
  $("#none").hidden = events.length > 0;
  $("#further").hidden = true;
  $("#summary").textContent = `the best of ${count(compared, "picture")}`;
  sayWords(problem, isBehind);
}

function sayWords(problem, isBehind) {
  form.elements.words.disabled = problem !== null && !form.elements.words.value;
  const isUsed = !!form.elements.words.value;
  for (const field of [form.elements.q, form.elements.order]) field.disabled = isUsed && problem === null;
  $("#words-problem").hidden = problem === null;
  $("#words-problem p").textContent = problem ?? "";
  $("#words-said").textContent = problem === null && isUsed
    ? `Simple English works best. The order is that of how well pictures fit.${isBehind ? " Not all pictures were seen yet." : ""}` : "";
}

async function search(isFurther = false) {
  if (form.elements.words.value.trim()) return searchPictures();
  sayWords(wordsProblem, false);
  const mine = ++asked;
  const page = await get("events", { ...query(), cursor: isFurther ? next : null });
  if (mine !== asked) return; // something else was asked meanwhile
  next = page.next;
  const cards = page.events.map((event) => cardOf(event));
  if (isFurther) found.append(...cards);
  else found.replaceChildren(...cards);
  const number = found.children.length;
  $("#none").hidden = number > 0;
  $("#further").hidden = next === null;
  $("#summary").textContent = page.total !== null && page.total !== undefined
    ? count(page.total, "event") : `${count(number, "event")}${next ? " and more" : ""}`;
  const known = new Set([...page.events].map((event) => event.class).filter(Boolean));
  $("#labels").replaceChildren(...[...known].map((value) => make("option", { value })));
}

let timer;
function searchSoon(wait) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const text = new URLSearchParams(given()).toString();
    history.replaceState(null, "", text ? `?${text}` : location.pathname);
    attempt(() => search());
  }, wait);
}

form.addEventListener("input", () => searchSoon(250));
form.addEventListener("reset", () => searchSoon(0)); // the fields are empty by then
form.addEventListener("submit", (event) => {
  event.preventDefault();
  searchSoon(0);
});
$("#further").addEventListener("click", () => attempt(() => search(true)));

function move(step) {
  const links = [...found.querySelectorAll("a")], at = links.indexOf(document.activeElement);
  links[Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
}
onKeys({
  "/": ["search for words", () => form.elements.q.focus()],
  w: ["words of what pictures show", () => form.elements.words.focus()],
  j: ["next event; enter opens it", () => move(1)],
  k: ["event before", () => move(-1)],
});

await attempt(async () => {
  const { cameras } = await get("cameras");
  form.elements.camera.append(...cameras.map(({ name }) => make("option", { value: name }, name)));
});
await attempt(async () => { wordsProblem = (await get("events/showing")).problem; });
for (const [name, value] of new URLSearchParams(location.search)) {
  const field = form.elements[name];
  if (field?.type === "checkbox") field.checked = true;
  else if (field) field.value = value;
}
await attempt(() => search());
ready();
