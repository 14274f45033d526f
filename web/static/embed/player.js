// <kinolog-player asset="…">: plays an asset, with captions, poster and storyboard; waits for one that is not ready yet.

import { KinologElement, h } from "./base.js";
import { persistently } from "./follow.js";
import { playback, untilPlayable } from "./playable.js";
import { Playback } from "./playback.js";
import { strip } from "./storyboard.js";

// Validity of the signed URLs; they are renewed while it plays.
const TTL_S = 4 * 3600;
const NOT_READY = "This recording is being prepared. It starts here as soon as it can be played.";

/**
 * The element. Attributes: `asset`, `start` (seconds), `autoplay`, `muted`. The property `playback` takes the response
 * of `POST /v1/assets/{id}/playback` instead of asset and token, so that a page needs no token. Events: `ready` (it can
 * be played), `complete` (it was played to its end), `error`.
 */
export class KinologPlayer extends KinologElement {
  static observedAttributes = ["asset", ...KinologElement.observedAttributes];
  #given = null;
  #poster;
  #message;
  #strip;

  build() {
    this.video = h("video", { crossOrigin: "anonymous", controls: true, playsInline: true, preload: "metadata", part: "video" });
    this.#poster = h("img", { className: "poster", crossOrigin: "anonymous", alt: "", hidden: true });
    this.#message = h("p", { className: "message", part: "message", role: "status", hidden: true });
    this.#strip = h("div", { className: "strip", part: "strip", hidden: true });
    this.shadowRoot.append(h("div", { className: "screen", part: "screen" }, this.video, this.#poster, this.#message), this.#strip);
    this.#poster.onload = () => (this.#poster.hidden = this.video.played.length > 0 || !this.video.paused);
    for (const name of ["play", "seeking"]) this.video.addEventListener(name, () => (this.#poster.hidden = true));
    this.video.addEventListener("ended", () => this.emit("complete", { asset: this.asset }));
  }

  /** The id of the asset. */
  get asset() {
    return this.getAttribute("asset") ?? "";
  }

  set asset(value) {
    if (value) this.setAttribute("asset", value);
    else this.removeAttribute("asset");
  }

  /** Signed URLs that somebody else has requested; null: they are requested with the token. */
  get playback() {
    return this.#given;
  }

  set playback(value) {
    if (value === this.#given) return;
    this.#given = value;
    this.changed();
  }

  /** Seconds from the start; setting it seeks. */
  get currentTime() {
    return this.video?.currentTime ?? 0;
  }

  set currentTime(at_s) {
    if (this.video) this.video.currentTime = at_s;
  }

  play() {
    return this.video.play();
  }

  pause() {
    this.video?.pause();
  }

  run() {
    this.#say("");
    if (this.#given) return this.#begin(this.#given, async () => this.#given);
    if (!this.asset) return undefined;
    const { feed, asset } = this;
    let end = () => {};
    const onTrouble = ({ message }) => this.#say(message);
    const renew = (signal) => persistently(() => playback(feed, asset, { ttl_s: TTL_S, signal }), { signal, onTrouble });
    const stop = untilPlayable(feed, asset, {
      ttl_s: TTL_S,
      onWaiting: ({ status }) => this.#say(status === "FAILED" ? "This recording could not be prepared." : NOT_READY, "waiting"),
      onProblem: (problem) => this.#fail(problem),
      onPlayback: (found) => (end = this.#begin(found, renew)),
    });
    return () => (stop(), end());
  }

  /** Plays what was found; returns what stops it. */
  #begin(found, urls) {
    this.#say("");
    if (found.poster_url) this.#poster.src = found.poster_url;
    const onProblem = (message, isFinal) => (isFinal ? this.#fail({ code: "playback-failed", message }) : this.#say(message));
    const engine = new Playback({ video: this.video, urls, onProblem });
    const [isAutomatic, at_s] = [this.hasAttribute("autoplay"), Number(this.getAttribute("start")) || 0];
    this.video.muted = this.hasAttribute("muted");
    engine.start(found, { at_s, autoplay: isAutomatic });
    const removeStrip = found.storyboard_url ? strip(this.#strip, this.video, found.storyboard_url) : () => {};
    this.emit("ready", found);
    return () => {
      engine.stop();
      removeStrip();
      this.#poster.removeAttribute("src");
      this.#poster.hidden = true;
    };
  }

  #fail(problem) {
    this.#say(problem.message);
    this.emit("error", problem);
  }

  #say(text, kind = "note") {
    this.#message.dataset.kind = kind;
    this.#message.textContent = text;
    this.#message.hidden = !text;
  }
}
