// Plays a signed HLS stream in a <video>: hls.js where media source extensions are, else the browser's own. Signed URLs
// that have expired and a lost network are recovered from in place: same position, playing or paused as before.

const HLS_MODULE = new URL("../vendor/hls.min.mjs", import.meta.url).href;
const NATIVE_HLS = "application/vnd.apple.mpegurl";
// Renewals without a second of playback between them after which it is the stream's fault.
const MOST_RENEWALS = 3;
// URLs that expire so soon are renewed before they are used.
const MARGIN_MS = 30_000;

// Statuses of signed URLs that have expired: no other rendition has others.
const EXPIRED = new Set([401, 403, 410]);

let loading;

/** hls.js, loaded at first use as a module, so that a page's own copy is left alone; null when it cannot be loaded. */
const hls = () => (loading ??= import(HLS_MODULE).then((module) => module.default, () => null));

/**
 * Plays in `video`; `urls(signal)` resolves to {master_url, captions, expires_at} when the URLs have expired or the network
 * was lost, as soon as the service can be reached; a permanent error rejects. `onProblem(message, isFinal)`: "" when it is
 * resolved.
 */
export class Playback {
  #engine = null;
  #current = null;
  #isRenewing = false;
  #isStopped = false;
  #renewals = 0;
  #mediaErrors = 0;
  #renewedAt_s = 0;
  #stop = new AbortController();

  constructor({ video, urls, onProblem }) {
    Object.assign(this, { video, urls, onProblem });
    const on = (name, act) => video.addEventListener(name, act, { signal: this.#stop.signal });
    on("play", () => this.#isExpired() && this.#renew());
    on("error", () => this.#engine || !video.error || this.#renew());
    on("timeupdate", () => this.#advanced());
  }

  /** Starts with these URLs, at `at_s` seconds; `autoplay`: whether to play at once. */
  async start(playback, { at_s = 0, autoplay = false } = {}) {
    const Hls = await hls();
    if (this.#isStopped) return;
    this.#current = playback;
    this.#renewedAt_s = at_s;
    const isPlaying = this.#isPlaying(autoplay);
    this.#clear();
    if (at_s) this.video.addEventListener("loadedmetadata", () => (this.video.currentTime = at_s), { once: true, signal: this.#stop.signal });
    if (Hls?.isSupported()) this.#attach(Hls, playback, at_s);
    else if (this.video.canPlayType(NATIVE_HLS)) this.#native(playback);
    else return this.onProblem("This browser cannot play HLS.");
    if (isPlaying) this.#play();
  }

  /**
   * Whether it plays, or is to. A new source pauses a video without an event and drops the events that are still to come,
   * also of what was pressed just now: so ask before, and play after.
   */
  #isPlaying(autoplay = false) {
    return autoplay || !this.video.paused;
  }

  /** Plays; a browser that blocks autoplay shows its play button. */
  #play() {
    this.video.play().catch(() => {});
  }

  stop() {
    this.#isStopped = true;
    this.#stop.abort();
    this.#clear();
    this.video.removeAttribute("src");
    this.video.load();
  }

  #clear() {
    this.#engine?.destroy();
    this.#engine = null;
    this.video.querySelectorAll("track").forEach((track) => track.remove());
  }

  #attach(Hls, playback, at_s) {
    const engine = (this.#engine = new Hls({ capLevelToPlayerSize: true, startPosition: at_s || -1 }));
    engine.on(Hls.Events.MANIFEST_PARSED, (_event, { subtitleTracks }) => subtitleTracks.length || this.#addCaptions(playback));
    engine.on(Hls.Events.ERROR, (_event, { fatal, type, details, response }) => {
      if (engine !== this.#engine || (!fatal && !EXPIRED.has(response?.code))) return;
      if (type === Hls.ErrorTypes.NETWORK_ERROR) this.#renew();
      else if (type === Hls.ErrorTypes.MEDIA_ERROR && this.#mediaErrors++ < 1) this.#recover(engine);
      else this.#fail(`The stream could not be played (${details}).`);
    });
    engine.loadSource(playback.master_url);
    engine.attachMedia(this.video);
  }

  #recover(engine) {
    const isPlaying = this.#isPlaying();
    engine.recoverMediaError();
    if (isPlaying) this.#play();
  }

  #native(playback) {
    this.video.addEventListener("loadedmetadata", () => this.video.textTracks.length || this.#addCaptions(playback), { once: true, signal: this.#stop.signal });
    this.video.src = playback.master_url;
  }

  #addCaptions({ captions = [] }) {
    for (const src of captions) this.video.append(Object.assign(document.createElement("track"), { kind: "captions", label: "Captions", src }));
  }

  #isExpired() {
    return Boolean(this.#current?.expires_at) && Date.parse(this.#current.expires_at) - MARGIN_MS < Date.now();
  }

  /** The stream plays: earlier trouble is over. */
  #advanced() {
    if (Math.abs(this.video.currentTime - this.#renewedAt_s) < 1 || this.#isRenewing) return;
    this.#mediaErrors = 0;
    if (this.#renewals) this.onProblem("");
    this.#renewals = 0;
    this.#renewedAt_s = this.video.currentTime;
  }

  async #renew() {
    if (this.#isRenewing || this.#isStopped) return;
    if (this.#renewals++ >= MOST_RENEWALS) return this.#fail("The stream could not be loaded.");
    this.#isRenewing = true;
    try {
      if (this.#renewals > 1) this.onProblem("Loading the stream again…");
      const playback = await this.urls(this.#stop.signal);
      // As late as possible: somebody may have sought or pressed Play meanwhile.
      if (!this.#isStopped) await this.start(playback, { at_s: this.video.currentTime });
    } catch (error) {
      if (!this.#isStopped) this.#fail(error.message);
    }
    this.#isRenewing = false;
  }

  #fail(message) {
    this.#clear();
    this.onProblem(message, true);
  }
}
