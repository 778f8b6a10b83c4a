// videos: id, file, form, plays, sources [{name, link, offset}], started (local time) or null, startedFrom, detector,
// threshold, problem, countsClips (nobody knows its rate: a second stands for a clip), and what findEvents takes. Names are shown as text only: they may hold anything.
const { videos, problems } = JSON.parse(document.getElementById("data").textContent);
const $ = (selector, root = document) => root.querySelector(selector);
const list = $("#list"), shown = $("#shown");
let asked = null; // the threshold for all videos; null: each has its own, as `amiss detect` took it
let current = null; // the row that is shown
let marked; // the event in the list in which this is

const thresholdOf = (video) => asked ?? video.threshold;

const player = new Player(shown, { onMove: markEvent, onAbsent: sayAbsent });

// ---- the list: rows are made once, curves when they come into sight

function makeRow(video) {
  const item = document.createElement("li"), button = document.createElement("button");
  button.type = "button";
  const part = (name, tag = "span") => {
    const element = document.createElement(tag);
    element.className = name;
    return button.appendChild(element);
  };
  const row = { video, item, button, events: [], peak: highestOf(video.score), inSight: false };
  part("name").textContent = video.id;
  button.title = video.id;
  row.peakText = part("peak");
  row.peakText.textContent = row.peak.toFixed(3);
  row.what = part("what");
  row.canvas = part("curve", "canvas");
  row.canvas.setAttribute("aria-hidden", "true");
  item.append(button);
  button.addEventListener("click", () => select(row, true));
  return row;
}

function highestOf(scores) {
  let highest = -Infinity;
  for (const score of scores) highest = Math.max(highest, score);
  return highest;
}

const rows = videos.map(makeRow);
const byItem = new Map(rows.map((row) => [row.item, row]));

function drawRow(row) {
  if (!row.inSight) return;
  const [context, width, height] = brush(row.canvas);
  drawCurve(context, row.video, row.events, thresholdOf(row.video), width, 1, height - 1);
}

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const row = byItem.get(entry.target);
    row.inSight = entry.isIntersecting;
    drawRow(row);
  }
}, { rootMargin: "300px" });

function arrange() {
  const by = {
    peak: (a, b) => b.peak - a.peak,
    events: (a, b) => b.events.length - a.events.length || b.peak - a.peak,
    started: (a, b) => (a.video.started ?? "~").localeCompare(b.video.started ?? "~"),
    name: () => 0,
  }[$("#order").value];
  const names = new Intl.Collator(undefined, { numeric: true });
  rows.sort((a, b) => by(a, b) || names.compare(a.video.id, b.video.id));
  list.append(...rows.map((row) => row.item));
}

function filter() {
  const wanted = $("#search").value.trim().toLowerCase(), eventful = $("#eventful").checked;
  for (const row of rows) {
    row.item.hidden = !row.video.id.toLowerCase().includes(wanted) || (eventful && !row.events.length);
  }
  $("#none").hidden = rows.some((row) => !row.item.hidden);
}

// ---- the threshold

function findAll() {
  let events = 0, eventful = 0, seconds = 0, inEvents = 0, timeless = 0;
  for (const row of rows) {
    row.events = findEvents(row.video, thresholdOf(row.video));
    events += row.events.length;
    eventful += row.events.length > 0;
    timeless += row.video.countsClips;
    if (!row.video.countsClips) {
      seconds += lengthOf(row.video);
      for (const event of row.events) inEvents += event.end - event.start;
    }
    row.peakText.classList.toggle("high", row.events.length > 0);
    const start = row.video.started ? timeOfDay(row.video, 0, true) + " · " : "";
    row.what.textContent = `${start}${lengthInWords(row.video, 0)} · ${row.events.length ? count(row.events.length, "event") : "no event"}`;
    drawRow(row);
  }
  $("#summary").textContent =
    `${count(rows.length, "video")}${timeless ? "" : `, ${clock(seconds, 0)} in all`}. ` +
    `${eventful} with events: ${count(events, "event")}` +
    `${timeless ? "" : `, ${clock(inEvents, 0)} long in all`}` +
    `${timeless || seconds < 3600 ? "" : `, ${((3600 * events) / seconds).toFixed(1)} an hour`}.`; // less says nothing

  filter();
  listEvents();
}

function setThreshold(value) {
  asked = value;
  const own = [...new Set(videos.map((video) => video.threshold))].sort((a, b) => a - b);
  const differ = own.length > 1 && value === null;
  const at = value ?? own[0] ?? 0.5;
  $("#threshold").value = at;
  if (document.activeElement !== $("#exact")) $("#exact").value = differ ? "" : at.toFixed(3);
  $("#exact").placeholder = differ ? "each its own" : "";
  $("#reset").disabled = value === null;
  findAll();
}

// ---- the video that is shown

function select(row, byUser) {
  if (row === current) return;
  if (current) current.button.removeAttribute("aria-current");
  current = row;
  row.button.setAttribute("aria-current", "true");
  const { video } = row;
  shown.hidden = false;
  $("h2", shown).textContent = video.id;
  const facts = [`peak ${row.peak.toFixed(3)}`, lengthInWords(video)];
  if (video.started) {
    const told = video.startedFrom === "header" ? "as the file's header says (creation_time)" : "as the file's name says";
    facts.push(`began ${timeOfDay(video, 0, true)}, ${told}`);
  }
  if (video.form) facts.push(video.form);
  facts.push(video.file);
  $(".facts", shown).textContent = facts.join(" · ");
  $(".problem", shown).hidden = !video.problem;
  $(".problem", shown).textContent = video.problem ?? "";
  player.show({ ...video, parts: [{ begins: 0, sources: video.sources }] }, row.events, thresholdOf(video));
  listEvents();
  if (byUser) {
    try {
      history.replaceState(null, "", "#" + encodeURIComponent(video.id));
    } catch { /* a name that is no text has no address */ }
    const top = shown.getBoundingClientRect().top;
    if (top < 0 || top > innerHeight / 2) shown.scrollIntoView();
  }
}

function sayAbsent(absent, { sources, form }) {
  absent.textContent = sources.length
    ? `Your browser can't play this file (${form}), or it isn't there any more. For small copies that ` +
      "every browser plays: amiss report FOLDER --preview. "
    : "The video isn't at hand. If it lies elsewhere: amiss report FOLDER --videos ITS_FOLDER. ";
  for (const other of sources) {
    const link = document.createElement("a");
    link.href = other.link;
    link.textContent = `open the ${other.name}`;
    absent.append(link, " ");
  }
}

function listEvents() {
  if (!current) return;
  const { video, events } = current, entries = document.createDocumentFragment();
  $("h3", shown).textContent = events.length ? count(events.length, "event") : "No event";
  for (const event of events) {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    const day = video.started ? `${timeOfDay(video, event.start)} – ${timeOfDay(video, event.end)}` : "";
    const peak = video.started ? timeOfDay(video, event.peak) : inWords(video, event.peak);
    const texts = { span: `${inWords(video, event.start)} – ${inWords(video, event.end)}`, day: day || `peak at ${peak}`, score: event.what ? `${event.what} ${event.score.toFixed(3)}` : event.score.toFixed(3) };
    for (const [name, text] of Object.entries(texts)) {
      const part = document.createElement("span");
      part.className = name;
      part.textContent = text;
      button.append(part);
    }
    button.addEventListener("click", () => player.seek(event.start, true));
    item.append(button);
    entries.append(item);
  }
  marked = undefined;
  $(".events").replaceChildren(entries);
  player.mark(events, thresholdOf(video));
  markEvent(player.position);
}

function markEvent(position) {
  const here = current.events.findIndex((event) => event.start <= position && position < event.end);
  const button = $(".events").children[here]?.firstChild;
  if (button === marked) return;
  marked?.classList.remove("now");
  button?.classList.add("now");
  marked = button;
}

function nextVideo(direction) {
  const visible = rows.filter((row) => !row.item.hidden);
  const row = visible[visible.indexOf(current) + direction] ?? (visible.includes(current) ? null : visible[0]);
  if (!row) return;
  select(row, true);
  row.button.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=range]):not([type=checkbox]), select")) return;
  if (event.key === " " && event.target.matches("button, video, input")) return; // they have a use for it
  const does = {
    j: () => nextVideo(1),
    k: () => nextVideo(-1),
    n: () => current && player.nextEvent(1),
    p: () => current && player.nextEvent(-1),
    "+": () => player.zoom(0.5),
    "-": () => player.zoom(2),
    0: () => player.zoom(Infinity),
    "/": () => $("#search").focus(),
    " ": () => player.toggle(),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

// ---- controls, and the start

let waiting = false;
$("#threshold").addEventListener("input", (event) => {
  asked = Number(event.target.value);
  if (waiting) return; // at most once per picture, however fast it is moved
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    setThreshold(asked);
  });
});
$("#exact").addEventListener("input", (event) => {
  if (event.target.value !== "" && event.target.validity.valid) setThreshold(Number(event.target.value));
});
$("#reset").addEventListener("click", () => setThreshold(null));
$("#search").addEventListener("input", filter);
$("#eventful").addEventListener("change", filter);
for (const name of ["#order", "#threshold", "#exact"]) $(name).addEventListener("change", arrange);
addEventListener("resize", () => rows.forEach(drawRow));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => rows.forEach(drawRow)); // after the player's

function start() {
  readColours();
  const detectors = [...new Set(videos.map((video) => video.detector))];
  $("#detectors").textContent = detectors.length > 1
    ? `Scores of ${detectors.length} detectors, which don't mean the same: ${detectors.join(", ")}.`
    : detectors.length ? `Scores of the detector ${detectors[0]}.` : "";
  for (const { name, why } of problems) {
    const item = document.createElement("li");
    item.textContent = `${name}: ${why}`;
    $("#problems ul").append(item);
  }
  $("#problems").hidden = !problems.length;
  arrange();
  setThreshold(null);
  for (const row of rows) sight.observe(row.item);
  let wanted = "";
  try {
    wanted = decodeURIComponent(location.hash.slice(1));
  } catch { /* a fragment that isn't ours */ }
  const row = rows.find((one) => one.video.id === wanted) ?? rows[0];
  if (row) select(row, false);
}
start();
