// A strip of pictures under a video: the frame at the pointer is shown above it, a click or an arrow key seeks.

import { storyboard } from "../words.js";
import { h } from "./base.js";

// Pictures in the strip.
const FRAMES = 10;
const PREVIEW_PX = 200;
// What an arrow key moves by, in a recording of more than some minutes.
const STEP_S = 5;

/** 83 -> "1:23", 3683 -> "1:01:23". */
export function clock(at_s) {
  const seconds = Math.max(0, Math.floor(at_s));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, place) => (place ? String(part).padStart(2, "0") : part)).join(":");
}

/** Cues of the storyboard at `url`, with absolute URLs of their sheets; empty when it cannot be loaded. */
async function cuesOf(url) {
  const response = await fetch(url);
  if (!response.ok) return [];
  return storyboard(await response.text()).map((cue) => ({ ...cue, url: new URL(cue.image, url).href }));
}

/** The part of a sheet that a cue names, `height_px` high. Background images are loaded without CORS: this is an image. */
function frame(cue, height_px) {
  const scale = height_px / cue.h;
  const picture = h("img", { crossOrigin: "anonymous", alt: "", src: cue.url });
  picture.style.transform = `scale(${scale}) translate(${-cue.x}px, ${-cue.y}px)`;
  const node = h("div", { className: "frame" }, picture);
  Object.assign(node.style, { width: `${cue.w * scale}px`, height: `${height_px}px` });
  return node;
}

/** Fills `root` with the strip of the storyboard at `url` and ties it to `video`. Returns what removes it. */
export function strip(root, video, url) {
  const stop = new AbortController();
  cuesOf(url).then((cues) => cues.length && !stop.signal.aborted && build(root, video, cues, stop.signal), () => {});
  return () => {
    stop.abort();
    root.replaceChildren();
    root.hidden = true;
  };
}

function build(root, video, cues, signal) {
  const end_s = () => (Number.isFinite(video.duration) ? video.duration : cues.at(-1).end_s);
  const frames = h("div", { className: "frames" });
  const played = h("div", { className: "played" });
  const range = h("input", { type: "range", min: 0, ariaLabel: "Position in the recording" });
  const preview = h("div", { className: "preview", hidden: true });
  root.replaceChildren(frames, played, range, preview);
  root.hidden = false;

  const cueAt = (at_s) => cues.find((cue) => at_s < cue.end_s) ?? cues.at(-1);
  const on = (target, name, act) => target.addEventListener(name, act, { signal });

  function follow() {
    range.max = end_s();
    range.step = Math.min(STEP_S, end_s() / 20);
    range.value = video.currentTime;
    range.ariaValueText = `${clock(video.currentTime)} of ${clock(end_s())}`;
    played.style.width = `${(100 * video.currentTime) / end_s()}%`;
  }

  function fill() {
    const width_px = root.clientWidth / FRAMES;
    const places = Array.from({ length: FRAMES }, (_, place) => frame(cueAt(((place + 0.5) / FRAMES) * end_s()), root.clientHeight));
    for (const node of places) node.style.width = `${width_px}px`;
    frames.replaceChildren(...places);
  }

  function look({ offsetX }) {
    const part = Math.min(1, Math.max(0, offsetX / range.clientWidth));
    const cue = cueAt(part * end_s());
    preview.replaceChildren(frame(cue, (PREVIEW_PX * cue.h) / cue.w), h("div", {}, clock(part * end_s())));
    const half_px = PREVIEW_PX / 2 + 4;
    preview.style.left = `${Math.min(Math.max(part * root.clientWidth, half_px), Math.max(half_px, root.clientWidth - half_px))}px`;
    preview.hidden = false;
  }

  on(range, "input", () => (video.currentTime = Number(range.value)));
  on(range, "pointerdown", ({ offsetX }) => (video.currentTime = (offsetX / range.clientWidth) * end_s()));
  on(range, "pointermove", look);
  on(range, "pointerleave", () => (preview.hidden = true));
  for (const name of ["timeupdate", "seeked", "durationchange", "loadedmetadata"]) on(video, name, follow);
  const sizes = new ResizeObserver(fill);
  sizes.observe(root);
  signal.addEventListener("abort", () => sizes.disconnect(), { once: true });
  follow();
}
