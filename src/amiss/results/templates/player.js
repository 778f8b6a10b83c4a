// A video above its timeline, in step: where one goes, the other goes.

const CLOSEST = 10; // seconds that the timeline shows at least

class Player {
  // root has the elements of player.html. Told, in this order: onMove(seconds from the first picture), and
  // onAbsent(element, video) where nothing plays, to say why in that element.
  constructor(root, { onMove = () => {}, onAbsent = () => {} } = {}) {
    const find = (selector) => root.querySelector(selector);
    Object.assign(this, { onMove, onAbsent, screen: find(".screen"), media: find("video"), absent: find(".absent") });
    Object.assign(this, { timeline: find(".timeline"), canvas: find(".timeline canvas"), hint: find("output") });
    Object.assign(this, { now: find(".now"), speed: find("[data-speed]"), closer: find("[data-zoom=in]") });
    this.farther = find("[data-zoom=out]");
    this.video = null;
    this.events = [];
    this.threshold = 1;
    this.position = 0; // seconds from the first picture
    this.view = [0, 0]; // the part of it that the timeline shows, in seconds
    this.isFollowing = false;
    this.listenToMedia();
    this.listenToTimeline();
    for (const [button, direction] of [[find("[data-move=previous]"), -1], [find("[data-move=next]"), 1]]) {
      button.addEventListener("click", () => this.nextEvent(direction));
    }
    this.closer.addEventListener("click", () => this.zoom(0.5));
    this.farther.addEventListener("click", () => this.zoom(2));
    addEventListener("resize", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      readColours();
      this.draw();
    });
  }

  // video: what findEvents takes, started (local time) or null, countsClips, and parts [{begins, sources}]: files one
  // after the other, each with its first picture at `begins`, and each in one or more forms [{link, offset}], of which
  // the first that plays is taken; offset: of the file's own clock at its first picture.
  show(video, events, threshold) {
    Object.assign(this, { video, position: 0, part: -1, source: 0 });
    this.look(0, lengthOf(video));
    this.mark(events, threshold);
    this.load(0);
    this.moved();
  }

  // Other spans and another threshold of the same video.
  mark(events, threshold) {
    Object.assign(this, { events, threshold });
    this.draw();
  }

  draw() {
    if (this.video) drawScale(this.canvas, this.video, this.events, this.threshold, this.position, this.view);
  }

  // ---- the files

  get playing() { // the file that is loaded, as {begins, link, offset}
    const part = this.video?.parts[this.part], source = part?.sources[this.source];
    return source && { begins: part.begins, ...source };
  }

  load(part, source = 0) {
    Object.assign(this, { part, source });
    const chosen = this.playing;
    this.media.hidden = !chosen;
    this.absent.hidden = !!chosen;
    this.screen.classList.toggle("empty", !chosen);
    if (chosen) {
      this.media.src = chosen.link;
      this.media.playbackRate = Number(this.speed.value);
      return;
    }
    this.media.removeAttribute("src");
    this.media.load();
    this.absent.replaceChildren();
    this.onAbsent(this.absent, this.video);
  }

  partAt(seconds) {
    return Math.max(this.video.parts.findLastIndex((part) => part.begins <= seconds + 0.001), 0);
  }

  listenToMedia() {
    const { media, speed } = this;
    media.addEventListener("error", () => {
      if (this.video && media.hasAttribute("src")) this.load(this.part, this.source + 1);
    });
    media.addEventListener("loadedmetadata", () => {
      media.playbackRate = Number(speed.value);
      const chosen = this.playing, at = chosen && this.position - chosen.begins + chosen.offset;
      if (at > 0) media.currentTime = at;
    });
    media.addEventListener("ended", () => {
      if (!this.video || this.part + 1 >= this.video.parts.length) return;
      this.position = this.video.parts[this.part + 1].begins;
      this.load(this.part + 1);
      this.play();
    });
    media.addEventListener("play", () => this.isFollowing || this.followWhilePlaying());
    for (const name of ["timeupdate", "seeked"]) {
      media.addEventListener(name, () => this.isFollowing || this.follow());
    }
    speed.addEventListener("change", () => { media.playbackRate = Number(speed.value); });
  }

  follow() {
    const chosen = this.playing;
    if (!chosen || this.media.readyState === 0) return;
    const at = chosen.begins + Math.max(this.media.currentTime - chosen.offset, 0);
    this.position = Math.min(at, lengthOf(this.video));
    this.moved();
  }

  followWhilePlaying() {
    this.isFollowing = !this.media.paused && !this.media.ended;
    if (!this.isFollowing) return;
    this.follow();
    requestAnimationFrame(() => this.followWhilePlaying());
  }

  play() {
    if (this.playing) this.media.play().catch(() => {}); // a file that isn't one is told by "error"
  }

  toggle() {
    if (this.media.paused) this.play();
    else this.media.pause();
  }

  // ---- where it is

  seek(seconds, play = false) {
    if (!this.video) return;
    this.position = Math.min(Math.max(seconds, 0), lengthOf(this.video));
    const part = this.partAt(this.position), wasPlaying = !this.media.paused;
    if (part !== this.part) this.load(part); // goes there when it is loaded
    const chosen = this.playing;
    if (chosen && this.media.readyState > 0) {
      this.media.currentTime = Math.max(this.position - chosen.begins, 0) + chosen.offset;
    }
    if (play || wasPlaying) this.play();
    this.moved();
  }

  told(seconds) {
    const { video } = this, day = video.started ? `${timeOfDay(video, seconds)} · ` : "";
    const score = video.score[indexAt(video, seconds)];
    return `${day}${inWords(video, seconds)} · ${Number.isFinite(score) ? `score ${score.toFixed(3)}` : "no score"}`;
  }

  moved() {
    const { timeline, position, video } = this, [from, to] = this.view, text = this.told(position);
    if (position < from || position > to) this.look(position - (to - from) / 10, to - from); // the view goes along
    this.now.textContent = text;
    timeline.setAttribute("aria-valuemax", lengthOf(video).toFixed(1));
    timeline.setAttribute("aria-valuenow", position.toFixed(1));
    timeline.setAttribute("aria-valuetext", text);
    this.draw();
    this.onMove(position);
  }

  nextEvent(direction) {
    const { events, position } = this;
    const found = direction > 0
      ? events.find((event) => event.start > position + 0.05)
      : events.findLast((event) => event.start < position - 0.5);
    if (found) this.seek(found.start);
  }

  // ---- the part that the timeline shows

  look(from, span) {
    const length = lengthOf(this.video), wide = Math.min(Math.max(span, CLOSEST), length);
    const start = Math.min(Math.max(from, 0), length - wide);
    this.view = [start, start + wide];
    this.farther.disabled = wide >= length;
    this.closer.disabled = wide <= Math.min(CLOSEST, length);
  }

  // Around a moment, which stays where it is.
  zoom(factor, around = this.position) {
    if (!this.video) return;
    const [from, to] = this.view, at = Math.min(Math.max(around, from), to);
    const span = Math.max((to - from) * factor, CLOSEST);
    this.look(at - ((at - from) / (to - from)) * span, span);
    this.draw();
  }

  secondsAt(event) {
    const box = this.timeline.getBoundingClientRect(), [from, to] = this.view;
    return from + (Math.min(Math.max(event.clientX - box.left, 0), box.width) / box.width) * (to - from);
  }

  showHint(event) {
    const { timeline, hint, view } = this, seconds = this.secondsAt(event), width = timeline.clientWidth;
    hint.hidden = false;
    hint.textContent = this.told(seconds);
    const half = hint.offsetWidth / 2, at = ((seconds - view[0]) / (view[1] - view[0])) * width;
    hint.style.left = `${Math.min(Math.max(at, half), width - half)}px`;
  }

  listenToTimeline() {
    const { timeline } = this;
    timeline.addEventListener("wheel", (event) => {
      const [from, to] = this.view, sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
      if (event.ctrlKey || event.metaKey) this.zoom(1.2 ** Math.sign(event.deltaY), this.secondsAt(event));
      else if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) {
        this.look(from + (sideways / timeline.clientWidth) * (to - from), to - from);
        this.draw();
      } else return; // the page is scrolled
      event.preventDefault();
    }, { passive: false });
    timeline.addEventListener("pointerdown", (event) => {
      timeline.setPointerCapture(event.pointerId);
      this.seek(this.secondsAt(event));
    });
    timeline.addEventListener("pointermove", (event) => {
      if (event.buttons) this.seek(this.secondsAt(event));
      this.showHint(event);
    });
    timeline.addEventListener("pointerleave", () => { this.hint.hidden = true; });
    timeline.addEventListener("keydown", (event) => {
      const { position, view } = this, jump = event.shiftKey ? 10 : 1, page = view[1] - view[0];
      const to = { ArrowLeft: position - jump, ArrowRight: position + jump, PageUp: position - page,
        PageDown: position + page, Home: 0, End: lengthOf(this.video) }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.seek(to);
    });
  }
}
