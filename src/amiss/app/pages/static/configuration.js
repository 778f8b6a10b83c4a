// Cameras, channels and rules of the configuration file, as far as a browser may change them.

import { ask, get, post, remove } from "./api.js";
import { button, fill, onSubmit } from "./forms.js";
import { attempt, notify } from "./page.js";
import { make, span } from "./words.js";

const $ = (selector) => document.querySelector(selector);
const put = (path, body) => ask("PUT", path, { body });
const at = (name) => encodeURIComponent(name);

// Connects, and shows the first picture, or why there is none.
async function test(what) {
  $("#tested").replaceChildren(make("p", { className: "soft" }, "Connecting, for 15 seconds at most …"));
  try {
    const { problem, seconds, width, height, jpeg } = await post("settings/cameras/test", what);
    $("#tested").replaceChildren(...(problem === null
      ? [make("p", {}, `A picture of ${width} × ${height} after ${seconds.toFixed(1)} s.`), make("img", { src: `data:image/jpeg;base64,${jpeg}`, alt: "what the camera sees now", width: 480 })]
      : [make("p", { className: "warning" }, `No picture: ${problem}`)]));
  } catch (error) {
    $("#tested").replaceChildren();
    throw error;
  }
}

async function showCameras() {
  const { cameras } = await get("settings/cameras");
  fill($("#cameras"), cameras.map((camera) => {
    const change = (values) => attempt(async () => {
      await put(`settings/cameras/${at(camera.name)}`, values);
      notify(`${camera.name} is changed.`);
    }).then((isDone) => isDone || attempt(showCameras));
    const watched = make("input", { type: "checkbox", checked: camera.enabled, "aria-label": `watch ${camera.name}` });
    watched.addEventListener("change", () => change({ enabled: watched.checked }));
    const threshold = (field, label) => {
      const input = make("input", { type: "number", min: 0, max: 1, step: "any", value: camera[field] ?? "", placeholder: "by itself", "aria-label": `${label} of ${camera.name}` });
      input.addEventListener("change", () => { if (input.validity.valid) change({ [field]: input.value === "" ? null : Number(input.value) }); });
      return input;
    };
    const actions = make("span", {}, button("Test", () => test({ camera: camera.name }), false), " ", button("Remove", async () => {
      await remove(`settings/cameras/${at(camera.name)}`);
      await showCameras();
    }));
    return [camera.name, camera.address, watched, threshold("threshold_on", "event from"), threshold("threshold_off", "event until"), actions];
  }));
}

async function showChannels() {
  const { channels } = await get("settings/channels");
  fill($("#channels"), channels.map((channel) => [channel.name, channel.kind, make("span", {},
    button("Send a test", async () => {
      const { problem } = await post(`settings/channels/${at(channel.name)}/test`);
      notify(problem === null ? `${channel.name} took the test message.` : `${channel.name}: ${problem}`, { isError: problem !== null });
    }, false), " ",
    button("Remove", async () => {
      await remove(`settings/channels/${at(channel.name)}`);
      await showChannels();
    }))]));
}

let rules = [];

async function setRules(wanted) {
  await put("settings/rules", { rules: wanted });
  await showRules();
}

async function showRules() {
  ({ rules } = await get("settings/rules"));
  const [{ channels }, { cameras }] = await Promise.all([get("settings/channels"), get("settings/cameras")]), form = $("#rule");
  for (const [name, found] of [["channels", channels], ["cameras", cameras]]) {
    form.elements[name].replaceChildren(...found.map((one) => make("option", {}, one.name)));
    form.elements[name].size = Math.min(Math.max(found.length, 2), 5);
  }
  fill($("#rules"), rules.map((rule) => [
    rule.name, rule.channels.join(", "), rule.cameras?.join(", ") ?? "all", rule.on, rule.min_score ? rule.min_score.toFixed(2) : "any",
    rule.hours ?? "all day", rule.cooldown_s ? span(rule.cooldown_s) : "", make("span", {},
      button("Change", () => editRule(rule), false), " ",
      button("Remove", () => setRules(rules.filter((one) => one !== rule)))),
  ]));
}

function editRule(rule) {
  const form = $("#rule"), { elements } = form;
  for (const name of ["name", "on", "min_score", "hours", "cooldown_s"]) elements[name].value = rule[name] || "";
  for (const name of ["channels", "cameras"]) for (const option of elements[name].options) option.selected = !!rule[name]?.includes(option.value);
  form.querySelector("button").textContent = "Change";
  elements.name.focus();
}

function writtenRule(form) {
  const { elements } = form, chosen = (name) => [...elements[name].selectedOptions].map((option) => option.value);
  const before = rules.find((rule) => rule.name === elements.name.value) ?? {}, cameras = chosen("cameras");
  const said = { name: elements.name.value, channels: chosen("channels"), cameras: cameras.length ? cameras : null, on: elements.on.value,
    min_score: Number(elements.min_score.value), hours: elements.hours.value || null, cooldown_s: Number(elements.cooldown_s.value) };
  return { ...before, ...said };
}

export async function showConfiguration() {
  if (!$("#configuration")) return; // recorded videos alone, or no admin
  await Promise.all([showCameras(), showChannels(), showRules()]);
}

$("#camera [data-do=test]")?.addEventListener("click", () => attempt(() => test({ address: $("#camera").elements.address.value })));
onSubmit($("#camera"), async ({ name, address }) => {
  await put(`settings/cameras/${at(name)}`, { address });
  notify(`${name} is added; it is watched within seconds.`);
  await showCameras();
});
$("#channel")?.elements.kind.addEventListener("change", showKind);
function showKind() {
  for (const label of $("#channel").querySelectorAll("[data-kind]")) {
    label.hidden = label.dataset.kind !== $("#channel").elements.kind.value;
    for (const input of label.querySelectorAll("input")) input.disabled = label.hidden;
  }
}
onSubmit($("#channel"), async ({ name, token, ...channel }) => {
  await put(`settings/channels/${at(name)}`, token ? { token, ...channel } : channel);
  setTimeout(showKind); // the form is as it was by then
  await Promise.all([showChannels(), showRules()]);
});
onSubmit($("#rule"), async () => {
  const rule = writtenRule($("#rule")), place = rules.findIndex((one) => one.name === rule.name);
  await setRules(place < 0 ? [...rules, rule] : rules.with(place, rule));
  $("#rule button").textContent = "Add";
});
