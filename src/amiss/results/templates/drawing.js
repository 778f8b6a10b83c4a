const colours = {}; // of the reader's theme

// ---- times and numbers in words

function clock(seconds, digits = 1) {
  const scale = 10 ** digits, ticks = Math.round(seconds * scale);
  const minutes = Math.floor(ticks / scale / 60), rest = ticks / scale - 60 * minutes;
  const two = (number) => String(number).padStart(2, "0");
  const last = rest.toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return minutes < 60 ? `${minutes}:${last}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${last}`;
}

// Where nobody knows a video's rate, its seconds are numbers of clips.
const inWords = (video, seconds, digits = 1) => video.countsClips ? seconds.toFixed(digits) : clock(seconds, digits);
const lengthInWords = (video, digits = 1) => video.countsClips ? count(Math.round(lengthOf(video)), "clip") : clock(lengthOf(video), digits);

// With the date where it is another day than that of the start.
function timeOfDay(video, seconds, withDate = false) {
  const text = new Date(Date.parse(video.started + "Z") + 1000 * seconds).toISOString();
  const isLater = text.slice(0, 10) !== video.started.slice(0, 10);
  return (withDate || isLater ? text.slice(0, 10) + " " : "") + text.slice(11, 19);
}

const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
const lengthOf = (video) => video.time[video.time.length - 1];

// ---- drawing

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["score", "event", "line", "soft", "ink", "card"]) colours[name] = style.getPropertyValue("--" + name).trim();
}

function brush(canvas) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return [context, width, height];
}

function indexAt(video, seconds) {
  let low = 0, high = video.score.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (video.time[middle] <= seconds) low = middle;
    else high = middle - 1;
  }
  return low;
}

// Shaded events, the threshold, and the highest score of every column, between top and bottom, from and to seconds. A
// score of NaN is none: nothing is drawn there.
function drawCurve(context, video, events, threshold, width, top, bottom, from = 0, to = lengthOf(video)) {
  const { time, score } = video;
  const x = (seconds) => ((seconds - from) / (to - from)) * width;
  const y = (value) => bottom - Math.min(Math.max(value, 0), 1) * (bottom - top);
  context.fillStyle = colours.event;
  context.globalAlpha = 0.24;
  for (const event of events) {
    if (event.end < from || event.start > to) continue;
    const left = Math.max(x(event.start), 0), wide = Math.max(Math.min(x(event.end), width) - left, 2);
    context.fillRect(Math.min(left, width - wide), top, wide, bottom - top);
  }
  context.globalAlpha = 1;
  context.strokeStyle = colours.soft;
  context.setLineDash([4, 3]);
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, y(threshold));
  context.lineTo(width, y(threshold));
  context.stroke();
  context.setLineDash([]);
  const larger = (a, b) => (a > b || Number.isNaN(b) ? a : b);
  const stretches = []; // of columns that have scores: [[x, y], …]
  let first = indexAt(video, from), isBegun = false;
  for (let column = 0; column < width; column++) {
    const end = from + ((column + 1) / width) * (to - from);
    let highest = score[first];
    while (first + 1 < score.length && time[first + 1] < end) highest = larger(highest, score[++first]);
    const hasScore = Number.isFinite(highest);
    if (hasScore && !isBegun) stretches.push([]);
    if (hasScore) stretches.at(-1).push([column + 0.5, y(highest)]);
    isBegun = hasScore;
  }
  context.lineWidth = 1.6;
  context.lineJoin = "round";
  context.strokeStyle = context.fillStyle = colours.score;
  for (const points of stretches) {
    context.beginPath();
    for (const point of points) context.lineTo(...point);
    if (points.length === 1) context.lineTo(points[0][0] + 1, points[0][1]);
    context.stroke();
    context.lineTo(points.at(-1)[0] + 0.5, bottom);
    context.lineTo(points[0][0] - 0.5, bottom);
    context.globalAlpha = 0.1;
    context.fill();
    context.globalAlpha = 1;
  }
}

// The curve, a scale of time, and where the player is, in seconds; of a part of the video, also which part it is.
function drawScale(canvas, video, events, threshold, position, [from, to]) {
  const length = to - from, [context, width, height] = brush(canvas);
  const x = (seconds) => ((seconds - from) / length) * width;
  const top = 6, bottom = height - 20;
  context.fillStyle = colours.card;
  context.fillRect(0, 0, width, bottom);
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const days = 10 ** Math.max(1, Math.ceil(Math.log10((72 / width) * (length / 86400))));
  const step = steps.find((seconds) => (seconds / length) * width >= 72) ?? 86400 * days;
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "bottom";
  const origin = video.started ? (Date.parse(video.started + "Z") / 1000) % step : 0; // round times of day
  let free = 0; // where there is room for a label
  const offset = origin ? step - origin : 0, begun = Math.max(Math.ceil((from - offset) / step - 1e-9), 0);
  for (let tick = begun; offset + tick * step <= to + 1e-9; tick++) {
    const seconds = offset + tick * step, at = x(seconds);
    context.fillStyle = colours.line;
    context.fillRect(Math.min(at, width - 1), 0, 1, bottom + 4);
    context.fillStyle = colours.soft;
    const label = video.started && step >= 1 ? timeOfDay(video, seconds) : inWords(video, seconds, step < 1 ? 1 : 0);
    const wide = context.measureText(label).width, left = Math.max(at - wide / 2, 0);
    if (left < free || left + wide > width) continue;
    context.fillText(label, left, height - 2);
    free = left + wide + 8;
  }
  drawCurve(context, video, events, threshold, width, top, bottom, from, to);
  const whole = lengthOf(video);
  if (length < whole) {
    context.fillStyle = colours.line;
    context.fillRect(0, 0, width, 3);
    context.fillStyle = colours.soft;
    const wide = Math.max((length / whole) * width, 6);
    context.fillRect(Math.min((from / whole) * width, width - wide), 0, wide, 3);
  }
  if (position < from || position > to) return;
  const at = Math.min(x(position), width - 1);
  context.fillStyle = colours.ink;
  context.fillRect(at - 0.75, 0, 1.5, bottom);
  context.beginPath();
  context.arc(at, bottom, 4.5, 0, 7);
  context.fill();
}
