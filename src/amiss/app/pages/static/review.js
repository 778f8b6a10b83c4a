// The queue of events, one after the other under the player, and what people say of them.

import { get, listen, patch, post, remove } from "./api.js";
import { cardOf, curveOf, factsOf, lengthInWords, showVerdict, snapshot, spanOf } from "./event.js";
import { onKeys } from "./keys.js";
import { attempt, mayReview, notify, ready } from "./page.js";
import { Player } from "./player.js";
import { count, listFacts, make, VERDICTS, when } from "./words.js";

const PAGE = 50; // events that are fetched at once
const MOST_COUNTED = 10000; // events; the server counts no further
const STORED_MS = 1500; // news are told at once, and events are in the database a moment later
const AHEAD = 5; // from so many before the last one on, more are fetched
const $ = (selector) => document.querySelector(selector);
const list = $("#list"), shown = $("#shown"), filters = $("#filters"), label = $("#label"), note = $("#note");
const rows = []; // {event, item, button, box, verdict} in the order of the list
const done = []; // what can be undone: functions, the last one last
let current = null; // the row that is shown
let next = null; // cursor of what isn't fetched yet
let total = 0;
let asked = 0; // lists that were asked for: what comes for an earlier one is dropped
let anchor = null; // the row that was chosen last, for a choice of many
let fetching = null;
const player = new Player(shown, {
  onAbsent(absent) {
    const { event } = current;
    if (event.has_snapshot) absent.replaceChildren(make("img", { src: snapshot(event), alt: `${event.camera} at the event's peak` }));
    else absent.textContent = event.problem || (event.state === "open" ? "The event is still open: its clip comes when it has ended." : "There is no clip of it.");
  },
});

// ---- the queue

function makeRow(event) {
  const verdict = make("span", { className: "verdict" });
  const peak = make("span", { className: "peak" }, event.peak_score.toFixed(2));
  const picture = make("img", { alt: "", loading: "lazy" });
  if (event.has_snapshot) picture.src = snapshot(event);
  const button = make("button", { type: "button" }, picture, make("span", { className: "name" }, event.camera), peak,
    make("span", { className: "what" }, `${when(event.started)} · ${lengthInWords(event)} `, verdict));
  const box = make("input", { type: "checkbox", "aria-label": `choose the event of ${event.camera}, ${when(event.started)}` });
  const item = make("li", {}, box, button);
  const row = { event, item, button, box, verdict, wasOpen: !event.verdict };
  box.hidden = !mayReview;
  button.addEventListener("click", () => select(row));
  box.addEventListener("click", (click) => choose(row, click.shiftKey));
  drawRow(row);
  return row;
}

function drawRow(row) {
  showVerdict(row.verdict, row.event);
  row.button.classList.toggle("reviewed", !!row.event.verdict);
  if (row === current) drawTriage();
}

function query() {
  const given = Object.fromEntries(new FormData(filters));
  return { ...given, limit: PAGE };
}

async function fetchMore() {
  if (fetching) return fetching;
  const mine = asked;
  fetching = (async () => {
    const page = await get("events", { ...query(), cursor: next });
    if (mine !== asked) return;
    next = page.next;
    total = page.total ?? total;
    const known = new Set(rows.map((row) => row.event.event_id));
    for (const event of page.events) {
      if (known.has(event.event_id)) continue;
      const row = makeRow(event);
      rows.push(row);
      list.append(row.item);
    }
    $("#further").hidden = next === null;
    summarise();
  })().finally(() => { if (mine === asked) fetching = null; });
  return fetching;
}

async function start() {
  asked += 1;
  fetching = null;
  rows.length = 0;
  list.replaceChildren();
  [current, next, total, anchor] = [null, null, 0, null];
  shown.hidden = true;
  drawBulk();
  const linked = location.pathname.match(/^\/events\/([0-9a-f]{32})$/)?.[1];
  if (linked && !filters.dataset.changed) {
    const row = makeRow(await get(`events/${linked}`));
    rows.push(row);
    list.append(row.item);
    await select(row);
  }
  await fetchMore();
  if (!current && rows.length) await select(rows[0], false);
}

function summarise() {
  const reviewed = rows.filter((row) => row.wasOpen && row.event.verdict).length;
  const isQueue = filters.elements.verdict.value === "none", isMore = total >= MOST_COUNTED ? " or more" : "";
  $("#summary").textContent = isQueue
    ? `${Math.max(total - reviewed, 0).toLocaleString()}${isMore} to review${reviewed ? `, ${count(reviewed, "event")} done` : ""}`
    : `${count(total, "event")}${isMore}`;
  $("#none").hidden = rows.length > 0;
  $("#none").textContent = isQueue ? "Nothing is left to review." : "No event is like that.";
}

// ---- the event that is shown

async function select(row, isAsked = true) {
  if (current) current.button.removeAttribute("aria-current");
  current = row;
  row.button.setAttribute("aria-current", "true");
  row.item.scrollIntoView({ block: "nearest" });
  const { event } = row;
  await attempt(async () => {
    row.whole ??= await whole(event.event_id);
    if (row !== current) return; // another one was chosen meanwhile
    row.event = { ...row.whole.event, ...pick(event) };
    show(row);
    if (isAsked) history.replaceState(null, "", `/events/${event.event_id}`);
    const after = rows[rows.indexOf(row) + 1];
    if (after) after.whole ??= await whole(after.event.event_id).catch(() => undefined);
  });
  if (rows.indexOf(row) >= rows.length - AHEAD && next !== null) attempt(fetchMore);
}

const pick = ({ verdict, class: label_, note: note_, protected: protected_ }) =>
  ({ verdict, class: label_, note: note_, protected: protected_ });

async function whole(id) {
  const [event, trace] = await Promise.all([get(`events/${id}`), get(`events/${id}/trace`)]);
  return { event, trace };
}

function show(row) {
  const { event } = row, curve = curveOf(event, row.whole.trace), own = spanOf(event, curve);
  shown.hidden = false;
  shown.querySelector("h2").textContent = `${event.camera}, ${when(event.started)}`;
  shown.querySelector(".facts").textContent = [`peak ${event.peak_score.toFixed(3)}`, lengthInWords(event), event.class_name && `seems to be ${event.class_name}`, event.place, event.detector].filter(Boolean).join(" · ");
  const problem = shown.querySelector(".problem");
  problem.hidden = !event.problem;
  problem.textContent = event.problem ?? "";
  listFacts($("#more dl"), factsOf(event));
  player.show(curve, [own], event.threshold_on);
  player.seek(Math.max(own.start - 1, 0));
  label.value = event.class ?? "";
  label.placeholder = event.class_name ?? "fight, fall, …";
  note.value = event.note ?? "";
  drawTriage();
  showLike();
}

// Events like the one that is shown, where somebody wants to see them.
async function showLike() {
  const box = $("#like"), said = box.querySelector("p"), cards = box.querySelector("ul"), row = current;
  if (!box.open || !row) return;
  await attempt(async () => {
    row.like ??= await get(`events/${row.event.event_id}/similar`);
    if (row !== current) return;
    const { events, n_compared: compared, other_kind: other, problem } = row.like;
    cards.replaceChildren(...events.map(({ event, likeness }) => cardOf(event, `${likeness.toFixed(2)} alike`)));
    said.textContent = problem ?? [
      compared ? `The most alike of ${count(compared, "event")}, by what the detector saw at their peaks.` : "There is no other event to compare it with.",
      other.length ? `Not compared: events of ${other.join(", ")}, whose detector sees other features.` : "",
    ].join(" ");
  });
}

function drawTriage() {
  const { event } = current;
  showVerdict(shown.querySelector(".verdict"), event);
  for (const button of shown.querySelectorAll("[data-verdict]")) {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === event.verdict));
    button.disabled = !mayReview;
  }
  $("#protect").setAttribute("aria-pressed", String(!!event.protected));
  $("#protect").disabled = label.disabled = note.disabled = !mayReview;
  const known = new Set(rows.map((row) => row.event.class).filter(Boolean));
  $("#labels").replaceChildren(...[...known].map((value) => make("option", { value })));
}

function step(by) {
  const at = rows.indexOf(current), row = rows[at + by];
  if (row) select(row);
}

// The next one that nobody has reviewed; the same where there is none.
function advance() {
  const at = rows.indexOf(current), row = rows.slice(at + 1).find((other) => !other.event.verdict);
  if (row) return select(row);
  if (next !== null) return fetchMore().then(advance);
  return notify("That was the last one.");
}

// ---- what people say

function change(row, values) {
  Object.assign(row.event, values);
  drawRow(row);
}

const chosen = () => rows.filter((row) => row.box.checked);
const written = () => ({ class: label.value.trim() || null, note: note.value.trim() });
const reviewsOf = (row) => `events/${row.event.event_id}/reviews`;

let saving = Promise.resolve(); // what was said goes to the server in its order

// Shows at once what is said of events, and sends it. What the server doesn't take is taken back.
function say(targets, values, send, sendBack) {
  const before = targets.map((row) => pick(row.event));
  const restore = () => {
    targets.forEach((row, i) => change(row, before[i]));
    summarise();
  };
  const takeBack = async () => {
    await sendBack();
    restore();
    if (targets.length === 1) await select(targets[0]);
  };
  targets.forEach((row) => change(row, values));
  summarise();
  offerUndo(takeBack);
  saving = saving.then(async () => {
    if (await attempt(send)) return;
    withdraw(takeBack);
    restore();
  });
}

async function review(verdict) {
  const targets = chosen();
  if (targets.length) return reviewMany(targets, verdict);
  if (!current || !mayReview) return undefined;
  const row = current, said = { verdict, ...written() };
  say([row], said, () => post(reviewsOf(row), said), () => remove(`${reviewsOf(row)}/last`));
  return advance();
}

async function reviewMany(targets, verdict) {
  const ids = targets.map((row) => row.event.event_id);
  say(targets, { verdict, class: null, note: "" }, () => post("events/bulk", { ids, verdict }), async () => {
    for (const row of targets) await remove(`${reviewsOf(row)}/last`);
  });
  notify(`${count(targets.length, "event")}: ${VERDICTS[verdict]}`, { action: ["Undo", undo] });
  chooseNone();
  if (current?.event.verdict) await advance();
}

// A class or a note that comes after the verdict belongs to it.
function amend() {
  const row = current;
  if (!row?.event.verdict || !mayReview) return;
  const said = { verdict: row.event.verdict, ...written() };
  if (said.class === (row.event.class ?? null) && said.note === (row.event.note ?? "")) return;
  say([row], said, () => post(reviewsOf(row), said), () => remove(`${reviewsOf(row)}/last`));
}

function protect() {
  const meant = chosen().length ? chosen() : current ? [current] : [];
  const wanted = !meant.every((row) => row.event.protected);
  const targets = meant.filter((row) => !!row.event.protected !== wanted);
  if (!targets.length || !mayReview) return;
  const set = async (value) => {
    for (const row of targets) await patch(`events/${row.event.event_id}`, { protected: value });
  };
  say(targets, { protected: wanted }, () => set(wanted), () => set(!wanted));
  chooseNone();
}

function offerUndo(does) {
  done.push(does);
  $("#undo").disabled = false;
}

function withdraw(does) {
  if (done.includes(does)) done.splice(done.indexOf(does), 1);
  $("#undo").disabled = !done.length;
}

function undo() {
  const last = done.at(-1);
  if (!last) return;
  withdraw(last);
  saving = saving.then(() => attempt(last));
}

// ---- choosing many

function choose(row, isRange) {
  if (isRange && anchor && anchor !== row) {
    const [from, to] = [rows.indexOf(anchor), rows.indexOf(row)].sort((a, b) => a - b);
    for (const between of rows.slice(from, to + 1)) between.box.checked = row.box.checked;
  }
  anchor = row;
  drawBulk();
}

function chooseNone() {
  for (const row of rows) row.box.checked = false;
  drawBulk();
}

function drawBulk() {
  const number = chosen().length;
  $("#bulk").hidden = !number;
  $("#bulk span").textContent = `${number} chosen`;
}

// ---- what the page listens to

for (const button of document.querySelectorAll("[data-verdict]")) {
  button.addEventListener("click", () => review(button.dataset.verdict));
}
$("[data-choose=none]").addEventListener("click", chooseNone);
$("#protect").addEventListener("click", protect);
$("#undo").addEventListener("click", undo);
$("#like").addEventListener("toggle", async () => {
  await showLike();
  if ($("#like").open) $("#like").scrollIntoView({ block: "nearest" });
});
$("#further").addEventListener("click", () => attempt(fetchMore));
filters.addEventListener("change", () => {
  filters.dataset.changed = "yes";
  attempt(start);
});
filters.addEventListener("submit", (event) => event.preventDefault());
for (const input of [label, note]) {
  input.addEventListener("change", amend);
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") input.blur(); });
}

onKeys({
  j: ["next event", () => step(1)],
  k: ["event before", () => step(-1)],
  c: ["confirm it, or those that are chosen", () => review("confirmed")],
  f: ["false alarm", () => review("false-alarm")],
  u: ["unsure", () => review("unsure")],
  l: ["its class", () => label.focus()],
  n: ["a note", () => note.focus()],
  p: ["protect its clip from being removed, or no longer", protect],
  z: ["undo", undo],
  s: ["events like this one", () => { $("#like").open = !$("#like").open; }],
  x: ["choose it, for one verdict on many", () => { if (current && mayReview) { current.box.checked = !current.box.checked; choose(current, false); } }],
  " ": ["play, pause", () => player.toggle()],
  ArrowLeft: ["a second back", () => player.seek(player.position - 1)],
  ArrowRight: ["a second on", () => player.seek(player.position + 1)],
  Home: ["to the event's start", () => { if (current) player.seek(player.events[0].start); }],
  "+": ["less of the timeline", () => player.zoom(0.5)],
  "-": ["more of the timeline", () => player.zoom(2)],
  0: ["all of the timeline", () => player.zoom(Infinity)],
});

await attempt(async () => {
  const { cameras } = await get("cameras");
  filters.elements.camera.append(...cameras.map(({ name }) => make("option", { value: name }, name)));
});
await attempt(start);
listen({
  async event({ event_id: id }) {
    await new Promise((done) => setTimeout(done, STORED_MS));
    const event = await get(`events/${id}`).catch(() => null); // one that may not be seen is none
    const row = event && rows.find((one) => one.event.event_id === id);
    if (row) {
      const hasMore = event.has_clip && !row.event.has_clip;
      row.event = { ...event, ...pick(row.event) };
      row.whole = undefined;
      drawRow(row);
      if (hasMore && row === current) await select(row);
      return;
    }
    const { camera, verdict, order } = filters.elements;
    const isAskedFor = event && (!camera.value || camera.value === event.camera) && ["", "none"].includes(verdict.value);
    if (!isAskedFor || event.state !== "open" || order.value !== "newest") return;
    const made = makeRow(event);
    rows.unshift(made);
    list.prepend(made.item);
    total += 1;
    summarise();
    if (!current) await select(made, false);
  },
});
ready();
