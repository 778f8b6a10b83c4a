// Signing in, and back to where one wanted to go: only within this server.

import { post } from "./api.js";

const form = document.querySelector("#sign-in"), problem = form.querySelector(".warning");
const button = form.querySelector("button");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  problem.hidden = true;
  try {
    const { name, password } = Object.fromEntries(new FormData(form));
    await post("login", { name, password });
    const next = new URL(new URLSearchParams(location.search).get("next") ?? "/", location.origin);
    location.assign(next.origin === location.origin ? next.href : "/");
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
    form.elements.password.select();
  } finally {
    button.disabled = false;
  }
});
