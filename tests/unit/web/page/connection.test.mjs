import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Connection, liveTarget } from "../../../../web/static/connection.js";
import { backoff_ms } from "../../../../web/static/kinolog.js";

class FakeSocket {
  static OPEN = 1;
  static CLOSED = 3;
  static opened = [];
  sent = [];
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, readyState: 0 });
    FakeSocket.opened.push(this);
  }
  send(text) {
    this.sent.push(text);
  }
  close() {
    this.readyState = FakeSocket.CLOSED;
    return this.onclose?.();
  }
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  FakeSocket.opened = [];
  Object.assign(globalThis, { WebSocket: FakeSocket, location: { origin: "http://here:1" }, addEventListener() {} });
});
afterEach(() => mock.timers.reset());

function connection(more = {}) {
  const seen = { states: [], frames: [] };
  const wiring = { root: "http://here:1/", token: "t", cursor: () => "c7", onState: (s) => seen.states.push(s), onFrame: (f) => seen.frames.push(f), mayReconnect: async () => true };
  new Connection({ ...wiring, ...more }).start();
  return seen;
}

const last = () => FakeSocket.opened.at(-1);

test("waits grow to 15 s and are spread", () => {
  assert.deepEqual([0, 1, 2, 9].map((attempt) => backoff_ms(attempt, 1)), [500, 1000, 2000, 15000]);
  assert.equal(backoff_ms(1, 0), 500);
});

test("the token travels as a subprotocol, never in the address", () => {
  assert.deepEqual(liveTarget("https://x", "a b", "t"), {
    url: "wss://x/v1/live?subscribe=all%2Cexecutors&cursor=a+b",
    protocols: ["kinolog", "bearer.t"],
  });
  assert.deepEqual(liveTarget("http://x", null, "").protocols, ["kinolog"]);
});

test("a lost connection goes on from the cursor", async () => {
  const seen = connection();
  last().onopen();
  last().onmessage({ data: '{"type":"job"}' });
  await last().close();
  mock.timers.tick(500);
  assert.equal(FakeSocket.opened.length, 2);
  assert.match(last().url, /cursor=c7/);
  assert.deepEqual(seen, { states: ["connecting", "live", "lost"], frames: [{ type: "job" }] });
});

test("a refused token ends it", async () => {
  connection({ mayReconnect: async () => false });
  await last().close();
  mock.timers.tick(60_000);
  assert.equal(FakeSocket.opened.length, 1);
});

test("a cursor that keeps being refused is given up for a snapshot", async () => {
  connection();
  for (let refusal = 0; refusal < 3; refusal += 1) {
    await last().close();
    mock.timers.tick(15_000);
  }
  assert.equal(FakeSocket.opened.length, 4);
  assert.doesNotMatch(last().url, /cursor/);
});

test("a server that is frozen is noticed within 20 s, though nothing closes the connection", async (t) => {
  let now_ms = 0;
  t.mock.method(performance, "now", () => now_ms);
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const pass = (s) => Array.from({ length: s }, () => ((now_ms += 1000), mock.timers.tick(1000)));
  const { states } = connection();
  const open = (socket) => Object.assign(socket, { readyState: 1 }).onopen();
  open(last());
  pass(9);
  assert.deepEqual(last().sent, ["ping"], "it asks after a while of silence");
  last().onmessage({ data: '{"type":"pong"}' });
  for (let minute = 0; minute < 10; minute += 1) {
    pass(8);
    last().onmessage({ data: '{"type":"pong"}' });
  }
  assert.deepEqual(states, ["connecting", "live"], "an idle server is no frozen one");
  const frozen = last();
  pass(20);
  assert.deepEqual(states, ["connecting", "live", "lost"]);
  assert.notEqual(last(), frozen, "and it tries again");
  assert.equal(frozen.onmessage, null);
  open(last());
  assert.equal(states.at(-1), "live");
});
