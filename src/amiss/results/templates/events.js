"use strict";
// The rule of `amiss detect` (find_events of amiss.detection), held to it by a test: an event is a run of stretches
// whose score reaches the threshold. video: time [N + 1], score [N], peaks [N][score, seconds] or null,
// classes [N] what each shows if it is anomalous, or nothing.
function findEvents(video, threshold) {
  const { time, score, peaks, classes } = video;
  const events = [];
  let event = null;
  let highest = 0;
  for (let i = 0; i < score.length; i++) {
    if (!(score[i] >= threshold)) {
      event = null;
      continue;
    }
    if (event === null) {
      event = { start: time[i], end: time[i + 1], score: -Infinity, peak: time[i] };
      highest = -Infinity;
      events.push(event);
    }
    event.end = time[i + 1];
    event.score = Math.max(event.score, score[i]);
    const [clip, at] = peaks ? peaks[i] : [score[i], (time[i] + time[i + 1]) / 2];
    if (clip > highest) {
      highest = clip;
      event.peak = at;
      event.what = classes?.[i] ?? null;
    }
  }
  for (const found of events) found.peak = Math.min(Math.max(found.peak, found.start), found.end);
  return events;
}
