// The grid of cameras. Pictures are fetched one after the other, only of cameras in sight: a stream for each would take
// all the connections that a browser has to one server.

import { address, get, listen, post, remove } from "./api.js";
import { brush, drawCurve } from "./drawing.js";
import { onKeys } from "./keys.js";
import { attempt, mayReview, notify, ready } from "./page.js";
import { ago, count, listFacts, when } from "./words.js";

const PICTURE_MS = 1000;
const POINTS = 120;
const list = document.querySelector("#cameras"), template = document.querySelector("#camera");
const large = document.querySelector("#large");
const cards = new Map(); // name → card
let snoozed = {}; // name → {until, by}
let enlarged = null; // the card that is shown in full
const isDown = (camera) => camera.offline_since !== null || !["running", "connecting"].includes(camera.state);

function makeCard(name) {
  const item = template.content.firstElementChild.cloneNode(true);
  const find = (selector) => item.querySelector(selector);
  const card = { name, item, camera: null, points: [], inSight: false, find };
  find("h2").textContent = name;
  find(".picture").setAttribute("aria-label", `${name}, larger`);
  find(".picture").addEventListener("click", () => enlarge(card));
  item.dataset.camera = name;
  list.append(item);
  sight.observe(item);
  return card;
}

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cards.get(entry.target.dataset.camera);
    if (!card) continue;
    card.inSight = entry.isIntersecting;
    drawCard(card);
  }
}, { rootMargin: "200px" });

function follow(camera) {
  const card = cards.get(camera.name) ?? makeCard(camera.name);
  cards.set(camera.name, card);
  card.camera = { ...card.camera, ...camera };
  if (camera.scores) card.points = camera.scores.map(([time, score]) => [Date.parse(time), score]);
  else if (camera.score_time) {
    const time = Date.parse(camera.score_time);
    if (time > (card.points.at(-1)?.[0] ?? 0)) card.points.push([time, camera.score]);
  }
  card.points = card.points.slice(-POINTS);
  drawCard(card);
}

const wordFor = (camera) => camera.event_id ? "event" : camera.offline_since ? "offline" : camera.state;

function drawState(element, camera) {
  element.textContent = wordFor(camera);
  element.className = `state ${camera.offline_since ? "offline" : camera.event_id ? "alarm" : camera.state}`;
}

function drawCard(card) {
  const { camera, find, points } = card;
  if (!camera) return;
  const down = isDown(camera), score = find(".score");
  card.item.classList.toggle("alarm", !!camera.event_id);
  drawState(find(".state"), camera);
  score.textContent = camera.score === null || down ? "" : camera.score.toFixed(2);
  score.classList.toggle("high", camera.score >= camera.threshold_on);
  const reason = find(".reason"), since = camera.offline_since ?? camera.since;
  reason.hidden = !down && !camera.problem;
  reason.textContent = down
    ? `${wordFor(camera)} since ${when(since)} (${ago(since)})${camera.reason ? `: ${camera.reason}` : ""}`
    : camera.problem;
  const snooze = snoozed[card.name];
  find(".snoozed").hidden = !snooze;
  if (snooze) find(".snoozed").textContent = `nobody is told of its events until ${when(snooze.until)} (${snooze.by})`;
  const absent = find(".absent"), picture = find("img");
  picture.alt = `${card.name} now`;
  absent.textContent = down ? "no picture" : "waits for a picture";
  absent.hidden = !picture.hidden;
  const newest = find(".newest");
  newest.hidden = !camera.event_id;
  if (camera.event_id) {
    newest.href = `/events/${camera.event_id}`;
    newest.textContent = "An event is open: look at it";
  }
  if (!card.inSight || points.length < 2) return;
  const first = points[0][0], time = points.map(([at]) => (at - first) / 1000), scores = points.map((point) => point[1]);
  time.push(time.at(-1) + Math.max(time.at(-1) / time.length, 0.1));
  const [context, width, height] = brush(find("canvas"));
  drawCurve(context, { time, score: scores }, [], camera.threshold_on, width, 2, height - 2);
}

function summarise() {
  const cameras = [...cards.values()].map((card) => card.camera), down = cameras.filter(isDown);
  document.querySelector("#none").hidden = cameras.length > 0;
  document.querySelector("#summary").textContent = cameras.length
    ? `${count(cameras.length, "camera")}, ${down.length ? `${down.length} away` : "all running"}` : "";
}

async function load() {
  const { cameras } = await get("cameras");
  ({ snoozed } = await get("cameras/snoozed"));
  const names = new Set(cameras.map((camera) => camera.name));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.item.remove();
    cards.delete(name);
  }
  cameras.forEach(follow);
  summarise();
}

// ---- pictures

function showPicture(card) {
  return new Promise((done) => {
    const next = new Image(), shown = card.find("img");
    const end = () => setTimeout(done, 0);
    next.onload = () => {
      shown.src = next.src;
      shown.hidden = false;
      card.find(".absent").hidden = true;
      end();
    };
    next.onerror = () => {
      shown.hidden = true;
      card.find(".absent").hidden = false;
      end();
    };
    next.src = address(`cameras/${encodeURIComponent(card.name)}/picture.jpg`, { t: Date.now() });
  });
}

async function showPictures() {
  if (!document.hidden && !large.open) {
    for (const card of [...cards.values()]) {
      if (card.inSight && card.camera && !isDown(card.camera)) await showPicture(card);
      else if (card.camera && isDown(card.camera)) card.find("img").hidden = true;
    }
  }
  setTimeout(showPictures, PICTURE_MS);
}

function drawSnooze() {
  large.querySelector("#snooze").hidden = !mayReview;
  large.querySelector("[data-do=wake]").hidden = !snoozed[enlarged.name];
}

const changeSnooze = (does) => attempt(async () => {
  await does(`cameras/${encodeURIComponent(enlarged.name)}/snooze`);
  ({ snoozed } = await get("cameras/snoozed"));
  drawSnooze();
  drawCard(enlarged);
});
large.querySelector("[data-do=snooze]").addEventListener("click", () => changeSnooze((path) => post(path, { minutes: Number(large.querySelector("select").value) })));
large.querySelector("[data-do=wake]").addEventListener("click", () => changeSnooze(remove));

function enlarge(card) {
  enlarged = card;
  drawSnooze();
  const { camera } = card, picture = large.querySelector("img");
  large.querySelector("h2").textContent = card.name;
  drawState(large.querySelector(".state"), camera);
  picture.alt = `${card.name} live`;
  picture.src = address(`cameras/${encodeURIComponent(card.name)}/live.mjpg`);
  listFacts(large.querySelector("dl"), [
    ["address", camera.address], ["threshold", `from ${camera.threshold_on.toFixed(3)}, until ${camera.threshold_off.toFixed(3)} (${camera.threshold_from})`],
    ["pictures", camera.frames.toLocaleString()], ["left out", camera.dropped_frames && count(camera.dropped_frames, "picture")],
    ["late by", `${camera.lag_s.toFixed(1)} s`], ["connected anew", camera.reconnects && count(camera.reconnects, "time")],
  ]);
  large.showModal();
}
large.addEventListener("close", () => large.querySelector("img").removeAttribute("src"));

// ---- keys, and the start

function move(step) {
  const buttons = [...list.querySelectorAll(".picture")], at = buttons.indexOf(document.activeElement);
  buttons[Math.min(Math.max(at + step, 0), buttons.length - 1)]?.focus();
}
onKeys({ j: ["next camera", () => move(1)], k: ["camera before", () => move(-1)] });

const announced = new Set(); // open events that a notice was shown of
let wasLost = false;
await attempt(load);
listen({
  camera: (camera) => { follow(camera); summarise(); },
  event: (event) => {
    if (event.state !== "open" || announced.has(event.event_id)) return;
    announced.add(event.event_id);
    notify(`${event.camera}: an event has begun`, { action: ["Look", () => location.assign(`/events/${event.event_id}`)] });
  },
}, (lost) => {
  if (lost && !wasLost) notify("The server can't be reached: trying again.", { isError: true });
  if (!lost && wasLost) attempt(load);
  wasLost = lost;
});
setInterval(() => [...cards.values()].forEach(drawCard), 10000); // how long ago
addEventListener("resize", () => [...cards.values()].forEach(drawCard));
showPictures();
ready();
