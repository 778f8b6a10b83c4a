// Times, numbers and elements, as all pages write them.

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DATE = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const DATE_OF_YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

export const count = (number, what) => `${number.toLocaleString()} ${what}${number === 1 ? "" : "s"}`;

// The reader's own time: today without the date, else with it, and with the year where it is another one.
export function when(text) {
  const time = new Date(text), now = new Date();
  if (time.toDateString() === now.toDateString()) return TIME.format(time);
  const date = (time.getFullYear() === now.getFullYear() ? DATE : DATE_OF_YEAR).format(time);
  return `${date}, ${TIME.format(time)}`;
}

// The reader's local time without a zone, as drawing.js takes it.
export const localTime = (text, seconds = 0) => {
  const time = new Date(Date.parse(text) + 1000 * seconds);
  return new Date(time - 60000 * time.getTimezoneOffset()).toISOString().slice(0, -1);
};

export function span(seconds) {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)}\u00a0s`; // no line ends in it
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u00a0min ${Math.round(seconds % 60)}\u00a0s`;
  if (seconds < 2 * 86400) return `${Math.floor(seconds / 3600)}\u00a0h ${Math.round((seconds % 3600) / 60)}\u00a0min`;
  return `${Math.round(seconds / 86400)}\u00a0days`;
}

export const ago = (text) => span(Math.max(Date.now() - Date.parse(text), 0) / 1000);

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  for (; number >= 1000 && step < units.length - 1; step++) number /= 1000;
  return `${number.toFixed(number < 10 && step ? 1 : 0)} ${units[step]}`;
}

// An element with properties and children; texts stay texts, whatever they hold.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// What is known, in a <dl>; what is null or empty is left out.
export function listFacts(list, facts) {
  const parts = [];
  for (const [name, value] of facts) {
    if (value !== null && value !== undefined && value !== "") parts.push(make("dt", {}, name), make("dd", {}, `${value}`));
  }
  list.replaceChildren(...parts);
}

// The word for a verdict.
export const VERDICTS = { confirmed: "confirmed", "false-alarm": "false alarm", unsure: "unsure" };
