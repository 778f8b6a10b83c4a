// How the service is.

import { get, listen, remove } from "./api.js";
import { attempt, ready } from "./page.js";
import { ago, bytes, count, make, span, when } from "./words.js";

const REFRESH_MS = 5000;
const $ = (selector) => document.querySelector(selector);

function fill(table, rows, none) {
  const width = table.tHead.rows[0].cells.length;
  const made = rows.map((cells) => make("tr", {}, ...cells.map((cell) => cell instanceof HTMLTableCellElement ? cell : make("td", {}, cell ?? ""))));
  table.tBodies[0].replaceChildren(...(made.length ? made : [make("tr", {}, make("td", { colSpan: width, className: "soft" }, none))]));
}

const number = (value) => value ? value.toLocaleString() : "0";
const figure = (value, name) => make("div", {}, make("b", {}, value), name);

async function showSystem() {
  const { version, up_s: up, ready, reasons, database, disk, spool, deliveries, listeners } = await get("system");
  $("#summary").textContent = `amiss ${version}, ${ready ? "all is well" : "something is wrong"}, running for ${span(up)}`;
  $("#reasons").replaceChildren(...reasons.map((reason) => make("p", { className: "warning" }, reason)));
  $("#numbers").replaceChildren(
    figure(bytes(disk.media_bytes), "clips and pictures"),
    figure(disk.free_bytes === null ? "?" : bytes(disk.free_bytes), disk.total_bytes === null ? "free" : `free of ${bytes(disk.total_bytes)}`),
    figure(database, "database"),
    figure(number(spool.waiting), spool.waiting ? `records wait for it, for ${span(spool.waiting_s)}` : "records wait for it"),
    figure(number(deliveries.failed), "messages failed"),
    figure(number(listeners), "browsers follow"),
  );
}

async function showCameras() {
  const { cameras } = await get("cameras");
  fill($("#cameras"), cameras.map((camera) => [
    camera.name,
    camera.offline_since ? `offline for ${ago(camera.offline_since)}` : camera.state,
    number(camera.frames), number(camera.dropped_frames), number(camera.dropped_clips), `${camera.lag_s.toFixed(1)} s`,
    number(camera.reconnects), number(camera.stalls), number(camera.restarts),
  ]), "No camera is watched.");
}

async function showJobs() {
  const { jobs } = await get("jobs");
  fill($("#jobs"), jobs.slice(0, 20).map((job) => {
    const share = job.n_total ? `, ${Math.floor((100 * job.n_done) / job.n_total)} %` : "";
    const came = job.problem ?? (job.result ? Object.entries(job.result).filter(([, value]) => typeof value === "number").map(([name, value]) => `${value} ${name}`).join(", ") : job.what);
    const stop = make("button", { type: "button" }, "Stop");
    stop.addEventListener("click", () => attempt(async () => {
      await remove(`jobs/${job.job_id}`);
      await showJobs();
    }));
    return [`${job.kind}: ${job.title}`, `${job.state}${job.state === "running" ? share : ""}`, job.who, job.started ? when(job.started) : "", came, job.ended ? "" : stop];
  }), "Nobody has started one.");
}

async function showDeliveries() {
  const { deliveries } = await get("deliveries", { state: $("#state").value, limit: 50 });
  fill($("#deliveries"), deliveries.map((one) => [
    when(one.created), one.camera,
    one.event_id ? make("td", {}, make("a", { href: `/events/${one.event_id}` }, one.tells)) : one.tells,
    one.rule, one.channel, one.state, number(one.attempts), one.error,
  ]), "There is none.");
}

async function showAudit() {
  const { entries } = await get("audit", { limit: 50 });
  fill($("#audit"), entries.map((entry) => [when(entry.made), entry.actor, entry.action, entry.detail]), "Nothing yet.");
}

const showAll = () => attempt(() => Promise.all([showSystem(), showCameras(), showJobs(), showDeliveries(), showAudit()]));

$("#state").addEventListener("change", () => attempt(showDeliveries));
await showAll();
setInterval(() => { if (!document.hidden) attempt(() => Promise.all([showSystem(), showCameras()])); }, REFRESH_MS);
listen({ job: () => attempt(showJobs) });
ready();
