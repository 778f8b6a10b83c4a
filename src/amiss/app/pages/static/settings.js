// One's own account; for admins users, and what is watched.

import { address, ask, get, patch, post, remove } from "./api.js";
import { attempt, mayAdminister, notify, ready } from "./page.js";
import { listFacts, make, when } from "./words.js";

const $ = (selector) => document.querySelector(selector);

function fill(table, rows) {
  table.tBodies[0].replaceChildren(...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell ?? "")))));
}

// A button that asks once more before it does what can't be undone.
function button(label, does, isFinal = true) {
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

function onSubmit(form, does) {
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await attempt(() => does(Object.fromEntries(new FormData(form))))) form.reset();
  });
}

async function showSessions() {
  const { sessions } = await get("sessions");
  fill($("#sessions"), sessions.map((session) => [
    session.user, session.address, session.agent.slice(0, 80), when(session.created), when(session.seen),
    session.is_this ? "this one" : button("End", async () => {
      await remove(`sessions/${session.session_id}`);
      await showSessions();
    }),
  ]));
}

async function showTokens() {
  const { tokens } = await get("tokens");
  fill($("#tokens"), tokens.map((token) => [
    token.name, token.user, token.role, when(token.created), token.seen ? when(token.seen) : "never", token.expires ? when(token.expires) : "for ever",
    button("Remove", async () => {
      await remove(`tokens/${token.token_id}`);
      await showTokens();
    }),
  ]));
}

const namesIn = (text) => text.trim() === "" || text.trim() === "all" ? null : text.split(/[\s,]+/).filter(Boolean);

async function showUsers() {
  const { users } = await get("users");
  fill($("#users"), users.map((user) => {
    const role = make("select", { "aria-label": `role of ${user.name}` }, ...["viewer", "reviewer", "admin"].map((name) => make("option", { selected: name === user.role }, name)));
    const cameras = make("input", { type: "text", value: user.cameras?.join(", ") ?? "all", "aria-label": `cameras of ${user.name}` });
    const change = (values) => attempt(async () => {
      await patch(`users/${user.user_id}`, values);
      notify(`${user.name} is changed.`);
    }).then((isDone) => isDone || attempt(showUsers));
    role.addEventListener("change", () => change({ role: role.value }));
    cameras.addEventListener("change", () => change({ cameras: namesIn(cameras.value) }));
    return [user.name, role, cameras, when(user.created), button("Remove", async () => {
      await remove(`users/${user.user_id}`);
      await showUsers();
    })];
  }));
}

async function showCameras() {
  const { cameras } = await get("cameras");
  $("#cameras").replaceChildren(...cameras.map((camera) => {
    const picture = make("img", { alt: `${camera.name} now`, src: address(`cameras/${encodeURIComponent(camera.name)}/picture.jpg`) });
    picture.addEventListener("error", () => picture.replaceWith(make("div", { className: "blank" })));
    const facts = make("dl");
    listFacts(facts, [["address", camera.address], ["state", camera.state], ["why", camera.reason],
      ["threshold", `${camera.threshold_on.toFixed(3)} – ${camera.threshold_off.toFixed(3)} (${camera.threshold_from})`]]);
    return make("li", {}, picture, make("div", { className: "name" }, make("b", {}, camera.name)), facts);
  }));
}

onSubmit($("#password"), async ({ old, new: changed }) => {
  await ask("PUT", "me/password", { body: { old, new: changed } });
  notify("Your password is changed.");
  await showSessions();
});
onSubmit($("#token"), async ({ name, role }) => {
  const { secret } = await post("tokens", { name, role });
  $("#secret").replaceChildren("Copy it now, it isn't shown again: ", make("code", {}, secret));
  $("#secret").hidden = false;
  await showTokens();
});
onSubmit($("#user"), async ({ name, password, role, cameras }) => {
  await post("users", { name, password, role, cameras: namesIn(cameras) });
  await showUsers();
});

await attempt(() => Promise.all([showSessions(), showTokens(), ...(mayAdminister ? [showUsers(), showCameras()] : [])]));
ready();
