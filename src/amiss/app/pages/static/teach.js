// Versions of detectors: made from reviews, compared with the one before, promoted or rolled back by people.

import { get, listen, post, remove } from "./api.js";
import { attempt, mayAdminister, notify, ready } from "./page.js";
import { count, listFacts, make, when } from "./words.js";

const $ = (selector) => document.querySelector(selector);
const parts = new Map(); // key of a detector → what is shown of it

const auc = ({ video_auc: value, ci95 }) => `${value.toFixed(3)} (${ci95[0].toFixed(3)} – ${ci95[1].toFixed(3)})`;
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;

function difference(report) {
  if (report.difference === undefined || report.difference === null) return "";
  const [low, high] = report.difference_ci95;
  return `${signed(report.difference)} (${signed(low)} to ${signed(high)})`;
}

// Whether the new one is better, as far as the held-out reviews can tell.
function inWords(report) {
  if (!report.old || !report.new) return "It can't be said whether it is better: the held-out reviews are all of one kind. Review more events.";
  const [low, high] = report.difference_ci95;
  if (low > 0) return "The new version is better: it tells held-out reviews apart more often, and chance alone hardly explains it.";
  if (high < 0) return "The new version is worse. Keep the old one.";
  return "It may be better or worse: the interval of the difference holds 0. Review more events, or wait.";
}

function makePart(detector) {
  const item = $("#detector").content.firstElementChild.cloneNode(true), find = (selector) => item.querySelector(selector);
  const part = { item, find, detector, chosen: null, job: null };
  find("[data-do=retrain]").addEventListener("click", () => attempt(async () => {
    follow(await post("jobs", { kind: "retrain", camera: part.detector.cameras[0] }));
  }));
  find("[data-do=rollback]").addEventListener("click", () => attempt(async () => {
    const version = await post("detectors/rollback", { key: part.detector.key });
    notify(`Version ${version.number} watches again.`);
    await load();
  }));
  find("[data-do=stop]").addEventListener("click", () => attempt(() => remove(`jobs/${part.job.job_id}`)));
  $("#detectors").append(item);
  return part;
}

function draw(part) {
  const { detector, find } = part, { versions } = detector;
  find("h2").textContent = detector.name;
  find(".cameras").textContent = `watches ${detector.cameras.join(", ")}`;
  const watching = versions.find((version) => version.promoted);
  find("[data-do=rollback]").disabled = !watching || watching.number === 0;
  for (const button of part.item.querySelectorAll("[data-do]")) if (!mayAdminister) button.hidden = true;
  find("tbody").replaceChildren(...versions.toSorted((a, b) => b.number - a.number).map((version) => rowOf(part, version)));
  const chosen = versions.find((version) => version.id === part.chosen) ?? versions.findLast((version) => version.report.recipe);
  compare(part, chosen);
}

function rowOf(part, version) {
  const { report } = version, actions = make("td");
  if (report.recipe) {
    const look = make("button", { type: "button" }, "Compare");
    look.addEventListener("click", () => {
      part.chosen = version.id;
      compare(part, version);
    });
    actions.append(look, " ");
  }
  if (version.promoted) actions.append(make("span", { className: "verdict confirmed" }, "watches"));
  else if (mayAdminister) {
    const promote = make("button", { type: "button" }, "Promote");
    promote.addEventListener("click", () => attempt(async () => {
      await post(`detectors/${version.id}/promote`);
      notify(`Version ${version.number} watches now.`);
      await load();
    }));
    actions.append(promote);
  }
  const learned = report.recipe ? `${count(report.n_reviewed, "review")}, ${report.n_normal + report.n_anomalous} bags in all` : version.number ? "" : "as configured";
  return make("tr", {}, make("td", {}, `${version.number}`), make("td", {}, version.made ? when(version.made) : ""), make("td", {}, version.by),
    make("td", {}, learned), make("td", {}, report.new ? auc(report.new) : ""), make("td", {}, difference(report)), actions);
}

function compare(part, version) {
  const box = part.find(".comparison");
  box.hidden = !version?.report.recipe;
  if (box.hidden) return;
  const { report } = version;
  box.querySelector("h3").textContent = `Version ${version.number} against ${version.made_from ?? "the one before"}, on ${report.held_out_anomalous + report.held_out_normal} reviews that neither learned from`;
  box.querySelector(".verdict-in-words").textContent = inWords(report);
  const rows = report.old && report.new ? [
    ["told apart (AUC), and its 95 % interval", auc(report.old), auc(report.new)],
    [`confirmed events found, of ${report.held_out_anomalous}`, report.old.found, report.new.found],
    [`false alarms, of ${report.held_out_normal}`, report.old.false_alarms, report.new.false_alarms],
    ["threshold", report.old.threshold.toFixed(3), report.new.threshold.toFixed(3)],
  ] : [];
  box.querySelector("tbody").replaceChildren(...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, `${cell}`)))));
  box.querySelector(".wide").hidden = !rows.length;
  box.querySelector(".chart").replaceChildren(...(rows.length ? [chart(report)] : []));
  box.querySelector(".remarks").replaceChildren(...(report.remarks ?? []).map((remark) => make("li", {}, remark)));
  listFacts(box.querySelector("dl"), [["version", version.id], ["checksum", version.sha256], ["made from version", version.made_from], ["by", version.by],
    ["recipe", report.recipe], ["normal bags", report.n_normal], ["anomalous bags", report.n_anomalous], ["of these reviewed", report.n_reviewed],
    ...Object.entries(report.bags ?? {}).map(([name, value]) => [name.replaceAll("_", " "), value])]);
}

// Old and new: what is measured, and the interval in which it lies.
function chart(report) {
  const svg = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text) element.textContent = text;
    return element;
  };
  const lowest = Math.floor(10 * Math.min(0.5, report.old.ci95[0], report.new.ci95[0])) / 10;
  const x = (value) => 60 + ((value - lowest) / (1 - lowest)) * 420;
  const whole = svg("svg", { viewBox: "0 0 500 86", class: "intervals", role: "img", "aria-label": `AUC of the old version ${auc(report.old)}, of the new one ${auc(report.new)}` });
  for (let tick = Math.round(10 * lowest); tick <= 10; tick++) {
    whole.append(svg("line", { x1: x(tick / 10), x2: x(tick / 10), y1: 4, y2: 66, class: "grid" }), svg("text", { x: x(tick / 10), y: 82, "text-anchor": "middle" }, (tick / 10).toFixed(1)));
  }
  [["old", report.old, 22], ["new", report.new, 50]].forEach(([name, judged, y]) => {
    whole.append(svg("text", { x: 4, y: y + 4 }, name),
      svg("line", { x1: x(judged.ci95[0]), x2: x(judged.ci95[1]), y1: y, y2: y, class: name }),
      svg("circle", { cx: x(judged.video_auc), cy: y, r: 5, class: name }));
  });
  return whole;
}

async function load() {
  const { detectors } = await get("detectors");
  for (const detector of detectors) {
    const part = parts.get(detector.key) ?? makePart(detector);
    parts.set(detector.key, part);
    part.detector = detector;
    draw(part);
  }
  $("#none").hidden = detectors.length > 0;
  const { total } = await get("events", { limit: 1 }), { total: open } = await get("events", { limit: 1, verdict: "none" });
  $("#summary").textContent = `${count(total - open, "event")} reviewed, ${open} not yet`;
}

function follow(job) {
  if (job.kind !== "retrain") return;
  const part = [...parts.values()].find((one) => one.job?.job_id === job.job_id || one.detector.cameras.some((name) => job.title.includes(name))) ?? [...parts.values()][0];
  if (!part) return;
  part.job = job.ended ? null : job;
  const bar = part.find("progress"), problem = part.find(".problem");
  bar.hidden = !part.job;
  part.find("[data-do=stop]").hidden = !part.job || !mayAdminister;
  part.find("[data-do=retrain]").disabled = !!part.job;
  if (job.n_total) bar.value = job.n_done / job.n_total;
  else bar.removeAttribute("value");
  part.find(".what").textContent = job.ended ? "" : job.what || job.state;
  problem.textContent = job.problem ?? "";
  problem.hidden = !job.problem;
  if (job.state === "done") {
    part.chosen = null;
    attempt(load);
  }
}

await attempt(load);
await attempt(async () => {
  const { jobs } = await get("jobs").catch(() => ({ jobs: [] })); // who doesn't see all cameras sees none
  const newest = jobs.find((job) => job.kind === "retrain");
  if (newest && !newest.ended) follow(newest);
});
listen({ job: follow });
ready();
