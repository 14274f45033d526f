// Follows /v1/live for as long as the page is open: reconnects with the cursor, with backoff.

import { backoff_ms } from "./kinolog.js";

// After this many rejected handshakes the cursor may be the reason: the next one requests a snapshot.
const REFUSALS_UNTIL_FRESH = 3;

// A server that is frozen, or a network that swallows everything, closes no connection, and browsers hide the server's pings
// from pages. So the page sends a ping after ASK_MS of silence, and gives the connection up ANSWER_MS later. After QUIET_MS it
// does not claim to be live, whatever the reason: timers of hidden tabs run once a minute.
const ASK_MS = 7_000;
const ANSWER_MS = 10_000;
const QUIET_MS = 18_000;
const LOOK_MS = 1_000;

/** Root of the service as the browser knows it, with a slash at the end: a proxy may have added a path prefix. */
export const ROOT = new URL("..", import.meta.url).href;

/** URL and subprotocols of the live socket; browsers cannot send headers there, so the token is a subprotocol. */
export function liveTarget(root, cursor, token) {
  const url = new URL("v1/live?subscribe=all,executors", root);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (cursor) url.searchParams.set("cursor", cursor);
  return { url: url.href, protocols: token ? ["kinolog", `bearer.${token}`] : ["kinolog"] };
}

/**
 * The live socket, kept open from `start()` on until the token is rejected.
 * `cursor()` returns where to resume, `onFrame(frame)` gets every frame, `onState("connecting" | "live" | "lost")` every
 * change, `mayReconnect()` resolves to false when the token is rejected.
 */
export class Connection {
  #socket = null;
  #timer = 0;
  #opened = false;
  #tries = 0;
  #refusals = 0;
  #heard_ms = 0;
  #asked_ms = 0;
  #isWaiting = false;

  constructor({ root = ROOT, token, cursor, onFrame, onState, mayReconnect }) {
    Object.assign(this, { root, token, cursor, onFrame, onState, mayReconnect });
  }

  start() {
    addEventListener("online", () => this.#hurry());
    addEventListener("visibilitychange", () => this.#look());
    setInterval(() => this.#look(), LOOK_MS).unref?.(); // a process that runs the tests may end
    this.onState("connecting");
    this.#open();
  }

  #open() {
    clearTimeout(this.#timer);
    this.#isWaiting = false;
    const resume = this.#refusals < REFUSALS_UNTIL_FRESH ? this.cursor() : null;
    const { url, protocols } = liveTarget(this.root, resume, this.token);
    this.#opened = false;
    this.#heard_ms = this.#asked_ms = performance.now();
    this.#socket = new WebSocket(url, protocols);
    this.#socket.onopen = () => this.#goLive();
    this.#socket.onmessage = ({ data }) => {
      this.#heard();
      const frame = JSON.parse(data);
      if (frame.type !== "pong") this.onFrame(frame);
    };
    this.#socket.onclose = () => this.#lose();
  }

  /** Asks whether the server is there when it has been silent, and gives a connection up that has been for too long. */
  #look() {
    const now_ms = performance.now();
    const silent_ms = now_ms - this.#heard_ms;
    if (this.#isWaiting || this.#socket?.readyState > WebSocket.OPEN) return;
    if (!this.#opened) return silent_ms > QUIET_MS && this.#giveUp();
    if (this.#asked_ms > this.#heard_ms && now_ms - this.#asked_ms > ANSWER_MS) return this.#giveUp();
    if (silent_ms > QUIET_MS) this.onState("connecting");
    if (silent_ms > ASK_MS && this.#asked_ms <= this.#heard_ms) {
      this.#asked_ms = now_ms;
      this.#socket.send("ping");
    }
  }

  #heard() {
    const now_ms = performance.now();
    if (this.#opened && now_ms - this.#heard_ms > QUIET_MS) this.onState("live");
    this.#heard_ms = now_ms;
  }

  #giveUp() {
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null; // its close may come much later
    socket.close();
    this.#lose();
  }

  #goLive() {
    this.#opened = true;
    this.#tries = this.#refusals = 0;
    this.onState("live");
  }

  async #lose() {
    this.onState("lost");
    if (!this.#opened) {
      this.#refusals += 1;
      if (!(await this.mayReconnect())) return;
    }
    this.#isWaiting = true;
    this.#timer = setTimeout(() => this.#open(), backoff_ms(this.#tries++, Math.random()));
  }

  /** The network is back: the wait is over, unless none was under way. */
  #hurry() {
    if (this.#isWaiting) this.#open();
  }
}
