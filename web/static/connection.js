// Follows /v1/live for as long as the page is open: reconnects with the cursor, with backoff.

import { Silence, backoff_ms, everySecond } from "./kinolog.js";

// After this many rejected handshakes the cursor may be the reason: the next one requests a snapshot.
const REFUSALS_UNTIL_FRESH = 3;

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
  #silence = null;
  #isWaiting = false;

  constructor({ root = ROOT, token, cursor, onFrame, onState, mayReconnect }) {
    Object.assign(this, { root, token, cursor, onFrame, onState, mayReconnect });
  }

  start() {
    addEventListener("online", () => this.#hurry());
    addEventListener("visibilitychange", () => this.#look());
    everySecond(() => this.#look());
    this.onState("connecting");
    this.#open();
  }

  #open() {
    clearTimeout(this.#timer);
    this.#isWaiting = false;
    const resume = this.#refusals < REFUSALS_UNTIL_FRESH ? this.cursor() : null;
    const { url, protocols } = liveTarget(this.root, resume, this.token);
    this.#opened = false;
    this.#silence = new Silence();
    this.#socket = new WebSocket(url, protocols);
    this.#socket.onopen = () => this.#goLive();
    this.#socket.onmessage = ({ data }) => {
      if (this.#silence.heard() && this.#opened) this.onState("live");
      const frame = JSON.parse(data);
      if (frame.type !== "pong") this.onFrame(frame);
    };
    this.#socket.onclose = () => this.#lose();
  }

  /** Asks whether the server is there when it has been silent, and gives a connection up that has been for too long. */
  #look() {
    if (this.#isWaiting || this.#socket?.readyState > WebSocket.OPEN) return;
    const { ask, isQuiet, isOver } = this.#silence.look(this.#opened);
    if (isOver) return this.#giveUp();
    if (isQuiet) this.onState("connecting");
    if (ask) this.#socket.send("ping");
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
