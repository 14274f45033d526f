import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Kinolog, Problem, folded } from "../../../../web/static/kinolog.js";

const job = (status, progress = 0, more = {}) => ({
  id: "job_1", status, progress, run: 1, updated_at: `2026-01-01T00:00:0${progress % 10}Z`,
  steps: [{ name: "noop", status, progress }], ...more,
});

const json = (body, status = 200) => new Response(JSON.stringify(body), { status });

/** A server: answers by "METHOD /path", in order; the last one again and again. */
function server(answers) {
  const asked = [];
  const fetch = async (url, options) => {
    const { pathname, searchParams } = new URL(url);
    asked.push({ method: options.method, path: pathname, query: Object.fromEntries(searchParams), options });
    const queue = answers[`${options.method} ${pathname}`] ?? [];
    const answer = queue.length > 1 ? queue.shift() : queue[0];
    return answer ? answer() : json({ code: "not-found", detail: "there is no such job" }, 404);
  };
  return { asked, fetch };
}

/** Sockets that each play their frames and close; `null` refuses the handshake. */
function sockets(plays) {
  const opened = [];
  class FakeSocket {
    constructor(url, protocols) {
      opened.push({ url: new URL(url), protocols });
      const frames = plays.length > 1 ? plays.shift() : plays[0];
      queueMicrotask(() => {
        for (const frame of frames ?? []) this.onmessage({ data: JSON.stringify(frame) });
        this.onclose();
      });
    }
    close() {}
  }
  return { opened, FakeSocket };
}

const client = (fetch, WebSocket = null) =>
  new Kinolog({ url: "http://here:1/", token: "t", fetch, WebSocket, sleep: async () => {} });

async function all(iterable) {
  const seen = [];
  for await (const item of iterable) seen.push(item);
  return seen;
}

test("bytes are uploaded with their name, key and token", async () => {
  const { asked, fetch } = server({ "POST /v1/uploads": [() => json({ data: { asset_id: "a", job_id: "j" }, cursor: "c" }, 201)] });
  const file = new File(["bytes"], "my talk.mp4");
  const submitted = await client(fetch).submit(file, { pipeline: "noop", idempotencyKey: "k" });
  assert.deepEqual(submitted, { asset_id: "a", job_id: "j", cursor: "c" });
  const [{ query, options }] = asked;
  assert.deepEqual(query, { filename: "my talk.mp4", pipeline: "noop" });
  assert.equal(options.headers.Authorization, "Bearer t");
  assert.equal(options.headers["Idempotency-Key"], "k");
  assert.equal(options.body, file);
});

test("media that lies somewhere is named", async () => {
  const { asked, fetch } = server({ "POST /v1/assets": [() => json({ data: { asset_id: "a", job_id: "j" }, cursor: "c" }, 202)] });
  await client(fetch).submit({ object: "a/b.mp4" }, { passthrough: "order 66" });
  assert.deepEqual(JSON.parse(asked[0].options.body), { input: { object: "a/b.mp4" }, passthrough: "order 66" });
});

test("a refusal has its code and its sentence", async () => {
  const { fetch } = server({ "POST /v1/jobs/job_1/cancel": [() => json({ code: "job-ended", detail: "It has ended." }, 409)] });
  await assert.rejects(client(fetch).cancel("job_1"), (error) => error instanceof Problem && error.code === "job-ended" && error.status === 409);
});

test("a watch goes on over lost sockets from where they broke", async () => {
  const { fetch } = server({ "GET /v1/jobs/job_1": [() => json({ data: job("waiting") })] });
  const { opened, FakeSocket } = sockets([
    [{ type: "snapshot", cursor: "c1", jobs: [job("active", 1)] }],
    [{ type: "progress", job_id: "job_1", step: "noop", progress: 5, job_progress: 5 }, { type: "job", cursor: "c2", job: job("active", 7) }],
    [{ type: "job", cursor: "c3", job: job("completed", 9) }],
  ]);
  const seen = await all(client(fetch, FakeSocket).watch("job_1"));
  assert.deepEqual(seen.map(({ status, progress }) => [status, progress]), [
    ["waiting", 0], ["active", 1], ["active", 5], ["active", 7], ["completed", 9],
  ]);
  assert.deepEqual(opened.map(({ url }) => url.searchParams.get("cursor")), [null, "c1", "c2"]);
  assert.deepEqual(opened[0].protocols, ["kinolog", "bearer.t"]);
});

test("without a websocket the events tell, in pieces of any size", async () => {
  const text = `: hello\n\nid: c1\ndata: ${JSON.stringify({ type: "snapshot", cursor: "c1", jobs: [job("active", 1)] })}\n\nid: c2\ndata: ${JSON.stringify({ type: "job", cursor: "c2", job: job("failed", 3) })}\n\n`;
  const pieces = () => new ReadableStream({
    start(controller) {
      for (let at = 0; at < text.length; at += 7) controller.enqueue(new TextEncoder().encode(text.slice(at, at + 7)));
      controller.close();
    },
  });
  const { asked, fetch } = server({
    "GET /v1/jobs/job_1": [() => json({ data: job("waiting") })],
    "GET /v1/live/sse": [() => new Response(pieces())],
  });
  const seen = await all(client(fetch).watch("job_1"));
  assert.deepEqual(seen.map(({ status }) => status), ["waiting", "active", "failed"]);
  assert.equal(asked.at(-1).options.headers.Authorization, "Bearer t");
});

test("where nothing live comes through, the job is asked for", async () => {
  const { opened, FakeSocket } = sockets([null]);
  const { asked, fetch } = server({
    "GET /v1/jobs/job_1": [() => json({ data: job("waiting") }), () => json({ data: job("active", 2) }), () => json({ data: job("completed", 9) })],
    "GET /v1/live/sse": [() => json({ code: "bad-gateway" }, 502)],
  });
  const seen = await all(client(fetch, FakeSocket).watch("job_1"));
  assert.deepEqual(seen.map(({ status }) => status), ["waiting", "active", "completed"]);
  assert.equal(opened.length, 4);
  assert.equal(asked.filter(({ path }) => path === "/v1/live/sse").length, 4);
});

test("a restart of the service moves nobody from websockets to the few connections of other kinds", async () => {
  const { opened, FakeSocket } = sockets([null, null, null, null, null, [{ type: "job", cursor: "c", job: job("completed", 9) }]]);
  let down = 3;
  const { asked, fetch } = server({ "GET /v1/jobs/job_1": [() => json({ data: job("waiting") })] });
  const flaky = (url, options) => {
    if (url.endsWith("/healthz") && down-- > 0) throw new TypeError("Failed to fetch");
    return fetch(url, options);
  };
  const seen = await all(client(flaky, FakeSocket).watch("job_1"));
  assert.equal(seen.at(-1).status, "completed");
  assert.equal(opened.length, 6);
  assert.deepEqual(asked.filter(({ path }) => path === "/v1/live/sse"), []);
});

test("a live connection says when it is there and when it is lost", async () => {
  const { FakeSocket } = sockets([[{ type: "snapshot", cursor: "c1", jobs: [] }], [{ type: "job", cursor: "c2", job: job("active", 1) }]]);
  const states = [];
  const stop = new AbortController();
  const frames = client(async () => json({}), FakeSocket).frames("job:job_1,job:job_2", { signal: stop.signal, onState: (state) => states.push(state) });
  await frames.next();
  await frames.next();
  assert.deepEqual(states, ["live", "lost", "live"]);
  stop.abort();
});

/** A clock that passes by seconds, with everything that waits for it. */
function clock(t) {
  let now_ms = 0;
  t.mock.method(performance, "now", () => now_ms);
  mock.timers.enable({ apis: ["setInterval"] });
  t.after(() => mock.timers.reset());
  return async (s) => {
    for (let second = 0; second < s; second += 1) {
      now_ms += 1000;
      mock.timers.tick(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
}

/** Sockets that stay open and do what the test makes them do. */
function openSockets() {
  const opened = [];
  class OpenSocket {
    sent = [];
    constructor(url) {
      this.url = new URL(url);
      opened.push(this);
      queueMicrotask(() => this.onopen?.());
    }
    send(text) {
      this.sent.push(text);
    }
    say(frame) {
      this.onmessage({ data: JSON.stringify(frame) });
    }
    close() {}
  }
  return { opened, OpenSocket };
}

/** Follows frames; `seen` and `states` grow. */
function followed(kinolog) {
  const [seen, states, stop] = [[], [], new AbortController()];
  const run = async () => {
    for await (const { type } of kinolog.frames("all", { signal: stop.signal, onState: (state) => states.push(state) })) seen.push(type);
  };
  run().catch(() => {});
  return { seen, states, stop };
}

test("a server that is frozen is not live after 18 s, and the connection begins again where it was", async (t) => {
  const pass = clock(t);
  const { opened, OpenSocket } = openSockets();
  const { seen, states, stop } = followed(client(async () => json({}), OpenSocket));
  await pass(1);
  opened[0].say({ type: "snapshot", cursor: "c1", jobs: [] });
  for (let turn = 0; turn < 10; turn += 1) {
    await pass(8);
    opened[0].say({ type: "pong" });
  }
  await pass(1);
  assert.equal(opened[0].sent.length, 10, "silence is asked about");
  assert.deepEqual([seen, states], [["snapshot"], ["live"]], "an idle server is no frozen one, and a pong no frame");
  await pass(18);
  assert.deepEqual(states, ["live", "lost"]);
  assert.equal(opened.length, 2);
  assert.equal(opened[1].url.searchParams.get("cursor"), "c1");
  opened[1].say({ type: "pong" });
  await pass(1);
  assert.deepEqual(states, ["live", "lost", "live"]);
  stop.abort();
});

test("a handshake that nobody answers is given up", async (t) => {
  const pass = clock(t);
  const { opened, OpenSocket } = openSockets();
  class Silent extends OpenSocket {
    set onopen(_act) {}
  }
  const { stop } = followed(client(async () => json({}), Silent));
  await pass(20);
  assert.equal(opened.length, 2);
  stop.abort();
});

test("events without frames or comments are not live after 30 s", async (t) => {
  const pass = clock(t);
  let stream;
  const { asked, fetch } = server({
    "GET /v1/live/sse": [() => new Response(new ReadableStream({ start: (controller) => (stream = controller) }))],
  });
  const abortable = async (url, options) => {
    const response = await fetch(url, options);
    const mine = stream;
    options.signal?.addEventListener("abort", () => mine.error(options.signal.reason));
    return response;
  };
  const say = (text) => stream.enqueue(new TextEncoder().encode(text));
  const { states, stop } = followed(client(abortable));
  await pass(1);
  say('data: {"type": "snapshot", "cursor": "c1", "jobs": []}\n\n');
  for (let turn = 0; turn < 5; turn += 1) {
    await pass(20);
    say(": still here\n\n");
  }
  assert.deepEqual(states, ["live"]);
  await pass(32);
  assert.deepEqual(states, ["live", "lost"]);
  assert.equal(asked.filter(({ path }) => path === "/v1/live/sse").length, 2);
  assert.equal(asked.at(-1).query.cursor, "c1");
  stop.abort();
});

test("a token that is refused ends the watch and is not tried for ever", async () => {
  const { fetch } = server({
    "GET /v1/jobs/job_1": [() => json({ data: job("waiting") })],
    "GET /v1/live/sse": [() => json({ code: "unauthorized" }, 401)],
  });
  await assert.rejects(all(client(fetch, sockets([null]).FakeSocket).watch("job_1")), { status: 401 });
});

test("a job that is deleted ends the watch", () => {
  assert.throws(() => folded(job("active"), { type: "deleted", job_id: "job_1" }), { status: 404 });
});

test("a watch can be given up", async () => {
  const { fetch } = server({ "GET /v1/jobs/job_1": [() => json({ data: job("waiting") })], "GET /v1/live/sse": [() => json({}, 502)] });
  const stop = new AbortController();
  const watching = client(fetch).watch("job_1", { signal: stop.signal });
  await watching.next();
  stop.abort();
  await assert.rejects(watching.next(), { name: "AbortError" });
});

test("progress never falls, and a late frame changes nothing", () => {
  const now = job("active", 5);
  assert.equal(folded(now, { type: "progress", job_id: "job_1", step: "noop", progress: 4 }), now);
  assert.equal(folded(now, { type: "job", job: job("active", 3) }), now);
  assert.equal(folded(now, { type: "progress", job_id: "job_2", step: "noop", progress: 9 }), now);
});

test("a waiting step moves up in its queue, one that runs does not", () => {
  const queued = { ...job("waiting"), steps: [{ name: "noop", status: "waiting", progress: 0 }] };
  const frame = { type: "queue", step: "noop", positions: { job_1: 3, job_2: 4 } };
  const moved = folded(queued, frame);
  assert.equal(moved.steps[0].queue_position, 3);
  assert.equal(folded(moved, frame), moved);
  assert.equal(folded(queued, { ...frame, positions: { job_2: 1 } }), queued);
  const running = { ...queued, steps: [{ ...queued.steps[0], status: "active" }] };
  assert.equal(folded(running, frame), running);
});

test("a paused queue holds every job that waits in it, and its end gives no time back", () => {
  const step = { name: "noop", status: "waiting", progress: 0 };
  const waiting = { ...job("waiting"), eta_s: 9, steps: [{ ...step, queue_position: 3, eta_s: 9 }] };
  const pause = { type: "queue", step: "noop", paused: true, positions: {} };
  const paused = folded(waiting, pause);
  assert.deepEqual([paused.eta_s, paused.steps], [null, [{ ...step, queue_position: 3, paused: true }]]);
  assert.equal(folded(paused, pause), paused);
  assert.deepEqual(folded(paused, { ...pause, paused: false }).steps, [{ ...step, queue_position: 3 }]);
  const later = { ...waiting, steps: [{ ...step, eta_s: 9 }] };
  assert.deepEqual(folded(later, pause).steps, [step], "it is not in the queue yet");
  assert.equal(folded(waiting, { ...pause, step: "probe" }), waiting);
});

test("a queue frame tells when a waiting step will be done, and that no executor offers it", () => {
  const step = { name: "noop", status: "waiting", progress: 0, waiting_reason: "queued" };
  const frame = { type: "queue", step: "noop", paused: false, reason: "", positions: { job_1: 2 }, eta_s: { job_1: 7 } };
  const moved = folded({ ...job("waiting"), eta_s: 3, steps: [step] }, frame);
  assert.deepEqual(moved.steps, [{ ...step, queue_position: 2, eta_s: 7 }]);
  const held = folded(moved, { ...frame, reason: "no_executor", positions: {}, eta_s: {} });
  const { waiting_reason: _, ...rest } = step;
  assert.deepEqual(held.steps, [{ ...rest, queue_position: 2, waiting_reason: "no_executor", no_executor: true }]);
  assert.equal(held.eta_s, null);
  assert.equal(folded(held, { ...frame, positions: {} }).steps[0].no_executor, undefined);
});
