// A transcript next to a video: the line that is being spoken is marked and kept in sight, a click seeks to it.

import { clock } from "../embed/storyboard.js";
import { build } from "../dom.js";

// After a person has scrolled, the list stays where it is for so long.
const HANDS_OFF_MS = 6_000;

/** Index of the last segment that has begun at `at_ms`; -1 before the first. */
export function segmentAt(segments, at_ms) {
  let [low, high] = [0, segments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (segments[middle].start_ms <= at_ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Who wrote the transcript, e.g. "Transcribed by small (faster-whisper 1.2.1), language en, 97 % sure". */
export function creditOf({ model, language, language_confidence }) {
  const name = model.name ?? model.backend.replace(/^local:/, "").split("/").at(-1);
  const by = `Transcribed by ${name}${model.library ? ` (${model.library})` : ""}`;
  const sure = language_confidence === undefined ? "" : `, ${Math.round(100 * language_confidence)} % sure`;
  return language ? `${by}, language ${language}${sure}` : by;
}

/** Fills `root` with the transcript; `seek(at_s)` is called for a chosen line. Returns {follow(at_s)}. */
export function transcriptPanel(root, { segments }, seek) {
  const list = build("ol", { className: "lines" }, segments.map(line));
  let current = -1;
  let handsOff_ms = 0;
  root.replaceChildren(list);

  list.addEventListener("click", ({ target }) => {
    const chosen = target.closest("[data-index]");
    if (!chosen) return;
    handsOff_ms = 0;
    seek(segments[chosen.dataset.index].start_ms / 1000);
  });
  for (const name of ["wheel", "touchmove", "keydown"]) {
    root.addEventListener(name, () => (handsOff_ms = performance.now() + HANDS_OFF_MS), { passive: true });
  }

  function follow(at_s) {
    const next = segmentAt(segments, at_s * 1000 + 1);
    if (next === current) return;
    list.children[current]?.firstElementChild.removeAttribute("aria-current");
    current = next;
    const node = list.children[current];
    if (!node) return;
    node.firstElementChild.ariaCurrent = "true";
    if (performance.now() < handsOff_ms) return;
    // Not scrollIntoView, which would scroll the page, too.
    root.scrollTop += node.getBoundingClientRect().top - root.getBoundingClientRect().top - root.clientHeight / 3;
  }

  return { follow };
}

const line = ({ start_ms, text }, index) =>
  build("li", {}, build("button", { type: "button", className: "line", dataset: { index } },
    build("span", { className: "line-time" }, clock(start_ms / 1000)), build("span", {}, text.trim())));
