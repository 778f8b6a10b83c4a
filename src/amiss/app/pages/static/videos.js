// Recorded videos: the list, the player with its curve, the threshold that redraws events at once, uploads, exports.

import { address, get, listen, post, remove } from "./api.js";
import { brush, clock, drawCurve, inWords, lengthInWords, timeOfDay } from "./drawing.js";
import { findEvents } from "./events.js";
import { onKeys } from "./keys.js";
import { attempt, mayReview, notify, ready } from "./page.js";
import { Player } from "./player.js";
import { bytes, count, make } from "./words.js";

const $ = (selector) => document.querySelector(selector);
const list = $("#list"), shown = $("#shown"), unscored = $("#unscored"), scored = $("#scored");
const rows = new Map(); // id → {video, item, button, …}, in the order of the list
let current = null; // the row that is shown
let curve = null; // of its scores, as findEvents takes it; null: it has none
let asked = null; // the threshold that was chosen; null: each video has the detector's
let marked; // the event in the list in which the player is
const player = new Player(shown, {
  onMove: markEvent,
  onAbsent(absent) { absent.textContent = "Your browser can't play this file, and there is no copy that it can. Score it again for one."; },
});

// ---- the list

function makeRow(video) {
  const part = (name, tag = "span") => make(tag, { className: name });
  const row = { video, name: part("name"), peak: part("peak"), what: part("what"), inSight: false };
  row.canvas = make("canvas", { "aria-hidden": "true" });
  row.bar = make("progress", { max: 1, hidden: true, "aria-label": "scoring" });
  row.button = make("button", { type: "button", title: video.name }, row.name, row.peak, row.what, row.canvas, row.bar);
  row.item = make("li", {}, row.button);
  row.item.dataset.id = video.video_id;
  row.button.addEventListener("click", () => select(row));
  list.append(row.item);
  sight.observe(row.item);
  return row;
}

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const row = rows.get(entry.target.dataset.id);
    if (!row) continue;
    row.inSight = entry.isIntersecting;
    drawRow(row);
  }
}, { rootMargin: "300px" });

const WORDS = { unscored: "not scored yet", waiting: "waits to be scored", scoring: "is being scored", failed: "couldn't be scored" };

function drawRow(row) {
  const { video } = row, { summary } = video;
  row.name.textContent = video.name;
  row.peak.textContent = summary ? summary.peak.toFixed(2) : "";
  row.peak.classList.toggle("high", !!summary && summary.peak >= (asked ?? summary.threshold));
  row.what.textContent = summary && video.state === "scored"
    ? `${clock(summary.duration_s, 0)} · ${count(summary.n_events, "event")}` : `${bytes(video.n_bytes)} · ${WORDS[video.state] ?? ""}`;
  row.bar.hidden = video.state !== "scoring";
  row.canvas.hidden = !summary || !row.bar.hidden;
  if (row.canvas.hidden || !row.inSight) return;
  const [context, width, height] = brush(row.canvas), time = summary.curve.map((_, i) => i);
  drawCurve(context, { time: [...time, time.length], score: summary.curve }, [], asked ?? summary.threshold, width, 1, height - 1);
}

async function load() {
  const { videos } = await get("videos");
  const ids = new Set(videos.map((video) => video.video_id));
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.item.remove();
    rows.delete(id);
  }
  for (const video of videos) {
    const row = rows.get(video.video_id) ?? makeRow(video), before = row.video.state;
    rows.set(video.video_id, row);
    row.video = video;
    drawRow(row);
    if (row === current && before !== video.state) await show(row);
  }
  const scoredOnes = videos.filter((video) => video.summary).length;
  $("#summary").textContent = videos.length ? `${count(videos.length, "video")}, ${scoredOnes} scored` : "";
  $("#none").hidden = videos.length > 0;
  $("#score-all").hidden = !mayReview || !unscoredOnes().length;
  filter();
}

function filter() {
  const wanted = $("#words").value.trim().toLowerCase();
  for (const { item, video } of rows.values()) item.hidden = !video.name.toLowerCase().includes(wanted);
}

// ---- the video that is shown

async function select(row) {
  if (current) current.button.removeAttribute("aria-current");
  current = row;
  row.button.setAttribute("aria-current", "true");
  row.item.scrollIntoView({ block: "nearest" });
  history.replaceState(null, "", `/videos/${row.video.video_id}`);
  await attempt(() => show(row));
}

async function show(row) {
  const { video } = row;
  shown.hidden = false;
  shown.querySelector("h2").textContent = video.name;
  const problem = shown.querySelector(".problem");
  problem.textContent = video.problem ?? "";
  problem.hidden = !video.problem;
  drawUnscored(row);
  scored.hidden = !video.summary;
  curve = null;
  if (!video.summary) {
    shown.querySelector(".facts").textContent = bytes(video.n_bytes);
    player.media.pause();
    return;
  }
  const scores = await get(`videos/${video.video_id}/scores`);
  if (row !== current) return; // another one was chosen meanwhile
  if (scores.problem) {
    problem.textContent = scores.problem;
    problem.hidden = false;
  }
  curve = {
    time: scores.time, score: scores.score, peaks: scores.peaks, started: scores.started, countsClips: false, threshold: scores.threshold,
    parts: [{ begins: 0, sources: scores.plays ? [{ link: address(`videos/${video.video_id}/media`), offset: scores.offset_s }] : [] }],
  };
  const facts = [`peak ${video.summary.peak.toFixed(3)}`, lengthInWords(curve)];
  if (scores.started) facts.push(`began ${timeOfDay(curve, 0, true)}, as the ${scores.started_from === "header" ? "file's header" : "file's name"} says`);
  if (scores.form) facts.push(scores.form);
  facts.push(`detector ${scores.detector}`);
  shown.querySelector(".facts").textContent = facts.join(" · ");
  player.show(curve, [], threshold());
  setThreshold(asked);
}

function drawUnscored({ video }) {
  const isBusy = ["waiting", "scoring"].includes(video.state);
  unscored.hidden = !!video.summary && !isBusy;
  $("#score").hidden = isBusy || !mayReview;
  $("#cancel").hidden = !isBusy || !mayReview;
  unscored.querySelector("progress").hidden = !isBusy;
  unscored.querySelector("span").textContent = WORDS[video.state] ?? "";
}

// ---- the threshold

const threshold = () => asked ?? curve?.threshold ?? 0.5;

function setThreshold(value) {
  asked = value;
  const at = threshold();
  $("#threshold").value = at;
  if (document.activeElement !== $("#exact")) $("#exact").value = at.toFixed(3);
  $("#reset").disabled = value === null;
  if (!curve) return;
  listEvents(findEvents(curve, at));
  for (const link of shown.querySelectorAll("[data-kind]")) {
    link.href = address(`videos/${current.video.video_id}/export`, { kind: link.dataset.kind, threshold: asked });
  }
}

function listEvents(events) {
  shown.querySelector("h3").textContent = events.length ? count(events.length, "event") : "No event";
  const items = events.map((event) => {
    const day = curve.started ? `${timeOfDay(curve, event.start)} – ${timeOfDay(curve, event.end)}` : `peak at ${inWords(curve, event.peak)}`;
    const button = make("button", { type: "button" },
      make("span", { className: "span" }, `${inWords(curve, event.start)} – ${inWords(curve, event.end)}`),
      make("span", { className: "day" }, day), make("span", { className: "score" }, event.score.toFixed(3)));
    button.addEventListener("click", () => player.seek(event.start, true));
    return make("li", {}, button);
  });
  marked = undefined;
  shown.querySelector(".events").replaceChildren(...items);
  player.mark(events, threshold());
  markEvent(player.position);
}

function markEvent(position) {
  const here = player.events.findIndex((event) => event.start <= position && position < event.end);
  const button = shown.querySelector(".events").children[here]?.firstChild;
  if (button === marked) return;
  marked?.classList.remove("now");
  button?.classList.add("now");
  marked = button;
}

let isWaiting = false;
$("#threshold").addEventListener("input", (event) => {
  asked = Number(event.target.value);
  if (isWaiting) return; // at most once per picture, however fast it is moved
  isWaiting = true;
  requestAnimationFrame(() => {
    isWaiting = false;
    setThreshold(asked);
  });
});
$("#threshold").addEventListener("change", () => [...rows.values()].forEach(drawRow));
$("#exact").addEventListener("input", ({ target }) => {
  if (target.value !== "" && target.validity.valid) setThreshold(Number(target.value));
});
$("#reset").addEventListener("click", () => {
  setThreshold(null);
  [...rows.values()].forEach(drawRow);
});

// ---- scoring

function unscoredOnes() {
  return [...rows.values()].map(({ video }) => video).filter(({ state }) => ["unscored", "failed"].includes(state)).map((video) => video.video_id);
}

const score = (ids) => attempt(async () => {
  await post("jobs", { kind: "score", videos: ids });
  await load();
});
$("#score").addEventListener("click", () => score([current.video.video_id]));
$("#score-all").addEventListener("click", () => score(unscoredOnes()));
$("#cancel").addEventListener("click", () => attempt(() => remove(`jobs/${current.video.job_id}`)));

let told; // what a job was doing when it was heard of last

function follow(job) {
  if (job.kind !== "score") return;
  if (job.ended || job.what !== told) attempt(load); // one more is scored
  told = job.what;
  if (job.ended) return;
  const share = job.n_done % 1; // of the video that is being scored
  for (const row of rows.values()) {
    if (row.video.job_id !== job.job_id) continue;
    const isNow = row.video.name === job.what;
    row.video.state = isNow ? "scoring" : "waiting";
    drawRow(row);
    const bars = row === current ? [row.bar, unscored.querySelector("progress")] : [row.bar];
    for (const bar of bars) {
      if (isNow) bar.value = share;
      else bar.removeAttribute("value");
    }
    if (row === current) unscored.querySelector("span").textContent = isNow ? `${Math.round(100 * share)} %` : job.what || WORDS.waiting;
  }
}

// ---- uploads

function upload(file) {
  return new Promise((done) => {
    const bar = make("progress", { max: 1, value: 0, "aria-label": `upload of ${file.name}` });
    const stop = make("button", { type: "button" }, "Cancel"), item = make("li", {}, `${file.name} `, bar, " ", stop);
    $("#uploads").append(item);
    const request = new XMLHttpRequest(); // fetch doesn't tell how far it is
    request.open("POST", address("videos", { name: file.name }));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", ({ loaded, total }) => { bar.value = loaded / total; });
    request.addEventListener("loadend", () => {
      item.remove();
      let answer = {};
      try {
        answer = JSON.parse(request.responseText || "{}");
      } catch { /* no JSON: the status is all there is */ }
      if (request.status === 201) done(answer);
      else {
        if (request.status) notify(`${file.name}: ${answer.detail ?? `the server answered ${request.status}`}`, { isError: true });
        done(null);
      }
    });
    stop.addEventListener("click", () => request.abort());
    request.send(file);
  });
}

async function uploadAll(files) {
  let last = null;
  for (const file of files) {
    const video = await upload(file);
    if (!video) continue;
    await score([video.video_id]);
    last = video;
  }
  if (last && rows.has(last.video_id)) await select(rows.get(last.video_id));
}

$("#upload").hidden = !mayReview;
$("#upload input").addEventListener("change", async ({ target }) => {
  await uploadAll([...target.files]);
  target.value = "";
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    if (!mayReview || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("is-dropping", name === "dragover");
    if (name === "drop") uploadAll([...event.dataTransfer.files]);
  });
}

// ---- keys, and the start

function step(by) {
  const seen = [...rows.values()].filter(({ item }) => !item.hidden);
  const row = seen[seen.indexOf(current) + by];
  if (row) select(row);
}

$("#words").addEventListener("input", filter);
onKeys({
  j: ["next video", () => step(1)],
  k: ["video before", () => step(-1)],
  n: ["next event", () => player.nextEvent(1)],
  p: ["event before", () => player.nextEvent(-1)],
  " ": ["play, pause", () => player.toggle()],
  ArrowLeft: ["a second back", () => player.seek(player.position - 1)],
  ArrowRight: ["a second on", () => player.seek(player.position + 1)],
  "+": ["less of the timeline", () => player.zoom(0.5)],
  "-": ["more of the timeline", () => player.zoom(2)],
  0: ["all of the timeline", () => player.zoom(Infinity)],
  "/": ["filter by name", () => $("#words").focus()],
});

setThreshold(null);
await attempt(load);
const linked = location.pathname.match(/^\/videos\/([0-9a-f]{32})$/)?.[1];
const first = rows.get(linked) ?? [...rows.values()][0];
if (first) await select(first);
listen({ job: follow });
addEventListener("resize", () => [...rows.values()].forEach(drawRow));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => [...rows.values()].forEach(drawRow));
ready();
