// What thresholds would have raised on a camera in the last days.

import { ask, get, listen, post } from "./api.js";
import { brush, drawCurve, readColours } from "./drawing.js";
import { attempt, mayAdminister, notify, ready } from "./page.js";
import { count, make, span, VERDICTS, when } from "./words.js";

const $ = (selector) => document.querySelector(selector);
const form = $("#asked"), slider = $("#threshold"), exact = $("#exact"), canvas = $("#week");
let shown = null; // the last answer, with the curve of the first one
let asked = 0;

// changes: `threshold` or `per_hour`; neither = the threshold of now.
async function load(changes = {}) {
  const mine = ++asked, { camera, days } = Object.fromEntries(new FormData(form));
  const isSame = shown?.camera === camera && shown.days === days;
  const answer = await get(`cameras/${encodeURIComponent(camera)}/raised`, { days, curve: !isSame, ...changes });
  if (mine !== asked) return;
  shown = { ...answer, days, curve: isSame ? shown.curve : answer.curve };
  draw();
}

function draw() {
  const { problem, threshold_on: on, threshold_off: off, n_alarms: number, hours, message, n_confirmed: confirmed, n_found: met } = shown;
  $("#problem").hidden = problem === null;
  $("#problem").textContent = problem ?? "";
  $("#found").hidden = problem !== null;
  $("#summary").textContent = problem === null ? `scores of ${span(hours * 3600)} are kept` : "";
  if (problem !== null) return;
  [slider.value, exact.value] = [on, Number(on.toFixed(4))];
  const rate = hours ? number / hours : 0;
  $("#said").textContent = `From ${on.toFixed(3)}, until ${off.toFixed(3)}: ${count(number, "alarm")}, ${rate.toFixed(rate < 1 ? 2 : 1)} an hour. `
    + (confirmed ? `Of ${count(confirmed, "confirmed event")} it would have raised ${met}.` : "No event of that time was confirmed.")
    + (number > shown.alarms.length ? ` The newest ${shown.alarms.length} are listed and shaded.` : "");
  $("#message").textContent = message ? `Without what was confirmed: ${message}.` : "";
  if ($("#use")) $("#use").disabled = on >= 1;
  drawWeek();
  $(".chart").replaceChildren(chart());
  $("#alarms").tBodies[0].replaceChildren(...shown.alarms.map(({ started, ended, score, event_id: event, verdict }) => make("tr", {},
    make("td", {}, when(started)), make("td", {}, span((Date.parse(ended) - Date.parse(started)) / 1000)), make("td", {}, score.toFixed(3)),
    make("td", {}, event ? make("a", { href: `/events/${event}` }, verdict ? VERDICTS[verdict] : "an event, not reviewed") : "nothing"))));
}

// The highest scores, the alarms shaded.
function drawWeek() {
  const { scores: all, alarms, until, threshold_on: on } = shown, zero = Date.parse(shown.since) + 1000 * all[0][0]; // the first that is kept
  const scores = all.map(([at, value]) => [at - all[0][0], value]), secondsTo = (time) => (Date.parse(time) - zero) / 1000, length = secondsTo(until);
  const gaps = scores.slice(1).map(([at], i) => at - scores[i][0]).sort((a, b) => a - b), step = gaps[gaps.length >> 1] ?? 1;
  const edges = [0], values = [];
  let end = 0;
  for (const [at, value] of scores) {
    if (at > end + 1.5 * step) {
      values.push(NaN);
      edges.push(at);
    } else edges[edges.length - 1] = Math.max(at, edges.at(-1));
    values.push(value);
    edges.push(at + step);
    end = at + step;
  }
  if (end < length) {
    values.push(NaN);
    edges.push(length);
  }
  const spans = alarms.map(({ started, ended }) => ({ start: secondsTo(started), end: secondsTo(ended) }));
  const [context, width, height] = brush(canvas);
  drawCurve(context, { time: edges, score: values }, spans, on, width, 4, height - 4);
  canvas.setAttribute("aria-label", `highest scores of ${shown.camera} since ${when(zero)}, and ${count(shown.n_alarms, "alarm")}`);
  const [first, last] = document.querySelectorAll(".ends span");
  [first.textContent, last.textContent] = [when(zero), "now"];
}

// Alarms (on a scale by logarithms) against the threshold.
function chart() {
  const { curve, threshold_on: on, n_alarms: number } = shown;
  const svg = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text) element.textContent = text;
    return element;
  };
  const most = Math.max(...curve.map(([, value]) => value), 1), [low, high] = [curve[0]?.[0] ?? 0, curve.at(-1)?.[0] ?? 1];
  const x = (value) => 46 + (Math.min(Math.max((value - low) / Math.max(high - low, 1e-6), 0), 1)) * 444;
  const y = (value) => 150 - (Math.log10(1 + value) / Math.log10(1 + most)) * 136;
  const whole = svg("svg", { viewBox: "0 0 500 176", class: "intervals", role: "img", "aria-label": `alarms by threshold: ${curve.map(([at, value]) => `${at.toFixed(2)}: ${value}`).join(", ")}` });
  for (const tick of [0, 1, 10, 100, 1000, 10000].filter((value) => value <= most)) {
    whole.append(svg("line", { x1: 46, x2: 490, y1: y(tick), y2: y(tick), class: "grid" }), svg("text", { x: 40, y: y(tick) + 4, "text-anchor": "end" }, `${tick}`));
  }
  for (let i = 0; i <= 4; i++) {
    const at = low + (i / 4) * (high - low);
    whole.append(svg("text", { x: x(at), y: 170, "text-anchor": i === 4 ? "end" : "middle" }, at.toFixed(2)));
  }
  whole.append(svg("polyline", { points: curve.map(([at, value]) => `${x(at)},${y(value)}`).join(" "), class: "curve" }),
    svg("circle", { cx: x(on), cy: y(Math.min(number, most)), r: 5, class: "new" }));
  return whole;
}

let timer;
const tryLater = (threshold) => {
  clearTimeout(timer);
  timer = setTimeout(() => attempt(() => load({ threshold })), 150);
};
slider.addEventListener("input", () => {
  exact.value = slider.value;
  tryLater(slider.value);
});
exact.addEventListener("change", () => { if (exact.validity.valid && exact.value) tryLater(exact.value); });
$("#reset").addEventListener("click", () => attempt(load));
for (const name of ["camera", "days"]) form.elements[name].addEventListener("change", () => attempt(load));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => load({ per_hour: form.elements.per_hour.value }));
});
$("#use")?.addEventListener("click", () => attempt(async () => {
  const { camera, threshold_on: on, threshold_off: off } = shown;
  await ask("PUT", `settings/cameras/${encodeURIComponent(camera)}`, { body: { threshold_on: on, threshold_off: off } });
  notify(`${camera} is watched with the threshold ${on.toFixed(3)} within seconds.`);
}));
addEventListener("resize", () => { if (shown && shown.problem === null) drawWeek(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  if (shown && shown.problem === null) drawWeek();
});

// ---- by watching

function follow(job) {
  const said = $("#calibration .what");
  if (!said || job.kind !== "calibrate") return;
  const share = job.n_total ? `, ${Math.floor((100 * job.n_done) / job.n_total)} %` : "";
  said.textContent = job.problem ?? job.result?.message ?? `${job.title}: ${job.what || job.state}${job.ended ? "" : share}`;
}

$("#calibration form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const { camera, per_hour: perHour, hours } = Object.fromEntries(new FormData(event.target));
  attempt(async () => follow(await post("jobs", { kind: "calibrate", camera, per_hour: Number(perHour), hours: Number(hours) })));
});

await attempt(async () => {
  const { cameras } = await get("cameras");
  for (const select of document.querySelectorAll("select[name=camera]")) select.append(...cameras.map(({ name }) => make("option", {}, name)));
  if (cameras.length) return load();
  $("#problem").hidden = false;
  $("#problem").textContent = "There is no camera that you may see.";
});
if (mayAdminister) await attempt(async () => {
  const { jobs } = await get("jobs").catch(() => ({ jobs: [] })); // who doesn't see all cameras sees none
  const newest = jobs.find((job) => job.kind === "calibrate");
  if (newest) follow(newest);
});
listen({ job: follow });
ready();
