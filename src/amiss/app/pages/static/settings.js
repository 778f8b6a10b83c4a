// One's own account; for admins users, and the configuration.

import { ask, get, patch, post, remove } from "./api.js";
import { showConfiguration } from "./configuration.js";
import { button, fill, onSubmit } from "./forms.js";
import { attempt, mayAdminister, notify, ready } from "./page.js";
import { make, when } from "./words.js";

const $ = (selector) => document.querySelector(selector);

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

await attempt(() => Promise.all([showSessions(), showTokens(), ...(mayAdminister ? [showUsers()] : []), showConfiguration()]));
ready();
