// What every page has: signing out, notices, the list of keys, and going from page to page by keys.

import { signOut } from "./api.js";
import { listKeys, onKeys } from "./keys.js";

const help = document.querySelector("#help"), notices = document.querySelector("#notices");

export const role = document.body.dataset.role;
export const mayReview = role === "reviewer" || role === "admin";
export const mayAdminister = role === "admin";

// A line that goes by itself; an error stays for longer. action: [label, function].
export function notify(text, { isError = false, action } = {}) {
  const notice = document.createElement("div");
  notice.className = isError ? "notice warning" : "notice";
  notice.textContent = text;
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = action[0];
    button.addEventListener("click", () => {
      notice.remove();
      action[1]();
    });
    notice.append(button);
  }
  notices.append(notice);
  while (notices.children.length > 3) notices.firstChild.remove();
  setTimeout(() => notice.remove(), isError ? 12000 : 6000);
}

// Runs what a person asked for, and says what went wrong with it. Whether it went well.
export async function attempt(does) {
  try {
    await does();
    return true;
  } catch (error) {
    if (error.name !== "AbortError") notify(error.message, { isError: true });
    return false;
  }
}

// The page shows what it has: for what waits for it, such as tests and pictures of pages.
export function ready() {
  document.body.dataset.ready = "yes";
}

function showHelp() {
  listKeys(help.querySelector("dl"));
  help.showModal();
}

document.querySelector("#help-button").addEventListener("click", showHelp);
document.querySelector("#sign-out").addEventListener("click", () => attempt(signOut));

let isGoing = false; // "g" was pressed: the next letter says where to
const PLACES = { l: "/", r: "/review", s: "/search", v: "/videos", t: "/teach", c: "/calibrate", y: "/system", e: "/settings" };
document.addEventListener("keydown", (event) => {
  if (!isGoing) return;
  isGoing = false;
  const place = PLACES[event.key];
  if (!place || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  location.assign(place);
}, true);

onKeys({
  "?": ["this list", showHelp],
  g: ["go to: l live, r review, s search, v videos, t teach, c calibrate, y system, e settings", () => {
    isGoing = true;
    setTimeout(() => { isGoing = false; }, 1500);
  }],
});
