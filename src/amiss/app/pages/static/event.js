// An event as pages show it: its curve in step with its clip, its name, its facts.

import { address } from "./api.js";
import { localTime, make, span, VERDICTS, when } from "./words.js";

export const snapshot = (event) => address(`events/${event.event_id}/snapshot.jpg`);

// trace: points [[seconds from the event's start, score]], each the middle of a scored clip, and clip_begins: where the
// files of its video begin, likewise. The curve begins with whatever is earlier: `zero`, in those seconds.
export function curveOf(event, trace) {
  const { points, clip_begins: parts } = trace, middles = points.map(([seconds]) => seconds);
  const gaps = middles.slice(1).map((at, i) => at - middles[i]).sort((a, b) => a - b);
  const half = (gaps[gaps.length >> 1] ?? 1) / 2, begins = middles.map((at, i) => at - Math.min(half, (at - middles[i - 1]) / 2 || half));
  const zero = Math.min(parts[0] ?? Infinity, begins[0] ?? Infinity, 0);
  const time = [0], score = [NaN]; // before the first score there is none
  points.forEach(([middle, value], i) => {
    time.push(begins[i] - zero);
    score.push(value);
    if (middles[i + 1] - middle > 6 * half) { // a gap: the camera was away
      time.push(middle + half - zero);
      score.push(NaN);
    }
  });
  const end = Math.max((middles.at(-1) ?? 0) + half, lengthOf(event));
  if (points.length && end > middles.at(-1) + half + 0.01) {
    time.push(middles.at(-1) + half - zero);
    score.push(NaN);
  }
  time.push(Math.max(end - zero, time.at(-1) + 0.001));
  return {
    zero, time, score, peaks: null, countsClips: false, started: localTime(event.started, zero),
    parts: parts.map((part, i) => ({
      begins: part - zero,
      sources: [{ link: address(`events/${event.event_id}/clip.mp4`, { part: i + 1 }), offset: 0 }],
    })),
  };
}

const lengthOf = (event) => event.ended ? (Date.parse(event.ended) - Date.parse(event.started)) / 1000 : 0;

export const lengthInWords = (event) => event.ended ? span(lengthOf(event)) : event.state;

// The event's own span on its curve.
export const spanOf = (event, curve) => ({
  start: -curve.zero,
  end: event.ended ? lengthOf(event) - curve.zero : curve.time.at(-1),
  peak: (Date.parse(event.peak) - Date.parse(event.started)) / 1000 - curve.zero,
  score: event.peak_score,
});

export function showVerdict(element, event) {
  const words = [VERDICTS[event.verdict], event.class ?? (event.class_name && `${event.class_name}?`)].filter(Boolean);
  element.textContent = `${words.join(": ")}${event.protected ? `${words.length ? " · " : ""}protected` : ""}`;
  element.className = `verdict ${event.verdict ?? ""}`;
}

export const factsOf = (event) => [
  ["event", event.event_id], ["began", when(event.started)], ["ended", event.ended && when(event.ended)],
  ["place", event.place], ["peak", `${event.peak_score.toFixed(3)} at ${when(event.peak)}`],
  ["thresholds", `from ${event.threshold_on.toFixed(3)}, until ${event.threshold_off.toFixed(3)}`],
  ["seems to be", event.class_name], ["detector", event.detector], ["its checksum", event.detector_sha256], ["state", event.state],
  ["problem", event.problem],
];

// A small picture with what matters most, that leads to the event. likeness: how like something else it is, in words.
export function cardOf(event, likeness = null) {
  const verdict = make("span", {});
  showVerdict(verdict, event);
  const picture = event.has_snapshot ? make("img", { src: snapshot(event), alt: "", loading: "lazy" }) : make("div", { className: "blank" });
  return make("li", {}, make("a", { href: `/events/${event.event_id}` },
    picture,
    make("div", { className: "name" }, make("span", {}, event.camera), make("b", { className: "score" }, event.peak_score.toFixed(2))),
    make("div", { className: "what" }, `${likeness ? `${likeness} · ` : ""}${when(event.started)} · ${lengthInWords(event)} `, verdict)));
}
