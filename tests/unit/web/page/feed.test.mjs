import assert from "node:assert/strict";
import { test } from "node:test";

import { Feed } from "../../../../web/static/embed/feed.js";
import { followJob, followJobs, persistently } from "../../../../web/static/embed/follow.js";
import { Problem } from "../../../../web/static/kinolog.js";

const job = (n, status, more = {}) => ({
  id: `job_${n}`, asset_id: `asset_${n}`, status, progress: 0, run: 1, created_at: `2026-01-01T00:00:0${n}Z`,
  updated_at: "2026-01-01T00:00:00Z", steps: [], ...more,
});
const json = (body, status = 200) => new Response(JSON.stringify(body), { status });

/** A service with these jobs, and its sockets: `opened` has their topics, `send(frame)` sends to the open ones. */
function service(...jobs) {
  const rows = new Map(jobs.map((row) => [row.id, row]));
  const opened = [];
  const open = new Set();
  const requests = [];
  const fetch = async (url) => {
    const { pathname, searchParams } = new URL(url);
    requests.push(pathname);
    if (pathname === "/v1/jobs") return json({ data: [...rows.values()].reverse().slice(0, searchParams.get("limit")), next_cursor: null });
    const row = rows.get(pathname.split("/").at(-1));
    if (pathname.startsWith("/v1/live")) return json({ code: "not-found" }, 404);
    return row ? json({ data: row }) : json({ code: "not-found", detail: "Not found." }, 404);
  };
  class FakeSocket {
    constructor(url) {
      const topics = new URL(url).searchParams.get("subscribe").split(",");
      const unknown = topics.some((topic) => topic.startsWith("job:") && !rows.has(topic.slice(4)));
      opened.push({ topics, cursor: new URL(url).searchParams.get("cursor") });
      if (unknown) return void queueMicrotask(() => this.onclose());
      open.add(this);
      queueMicrotask(() => this.onmessage({ data: JSON.stringify({ type: "snapshot", cursor: "c1", jobs: [...rows.values()] }) }));
    }
    close() {
      open.delete(this);
      queueMicrotask(() => this.onclose());
    }
  }
  const send = (frame) => open.forEach((socket) => socket.onmessage({ data: JSON.stringify(frame) }));
  const options = { url: "http://here", token: "t", gather_ms: 0, fetch, WebSocket: FakeSocket, sleep: async () => {} };
  return { rows, opened, open, requests, send, make: () => new Feed(options) };
}

async function until(condition) {
  for (let tries = 0; tries < 2000; tries += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.fail(`never true: ${condition}`);
}

const follow = (feed, id, seen = []) => ({ seen, stop: followJob(feed, id, { onJob: (row) => seen.push(row.status), onProblem: ({ code }) => seen.push(code) }) });

test("followers share a connection, which ends when the last one stops", async () => {
  const { opened, open, send, make } = service(job(1, "active"), job(2, "active"));
  const feed = make();
  const [one, two] = [follow(feed, "job_1"), follow(feed, "job_2")];
  await until(() => open.size === 1);
  assert.deepEqual(opened.map(({ topics }) => topics), [["job:job_1", "job:job_2"]]);
  one.stop();
  send({ type: "job", cursor: "c2", job: job(2, "failed", { updated_at: "2026-01-01T00:00:09Z" }) });
  await until(() => two.seen.length === 2);
  assert.deepEqual([one.seen, two.seen, open.size], [["active"], ["active", "failed"], 1]);
  two.stop();
  await until(() => open.size === 0);
});

test("a follower that comes later gets a snapshot, since a cursor would hide what happened before it", async () => {
  const { opened, make } = service(job(1, "active"), job(2, "active"));
  const feed = make();
  const one = follow(feed, "job_1");
  await until(() => opened.length === 1);
  const two = follow(feed, "job_2");
  await until(() => opened.length === 2);
  assert.deepEqual(opened[1], { topics: ["job:job_1", "job:job_2"], cursor: null });
  [one, two].forEach(({ stop }) => stop());
});

test("a remount within a moment opens no second connection", async () => {
  const { opened, open, make } = service(job(1, "active"));
  const feed = make();
  follow(feed, "job_1").stop();
  const one = follow(feed, "job_1");
  await until(() => open.size === 1);
  one.stop();
  assert.equal(opened.length, 1);
});

test("what happens between the request for a job and its subscription is not missed", async () => {
  const { open, send, make } = service(job(1, "active"), job(2, "waiting"));
  const feed = make();
  const all = followJobs(feed, {}, { onJobs: () => {}, onProblem: assert.fail });
  await until(() => open.size === 1);
  const one = follow(feed, "job_2");
  send({ type: "job", cursor: "c2", job: job(2, "completed", { updated_at: "2026-01-01T00:00:09Z" }) });
  await until(() => one.seen.includes("completed"));
  assert.deepEqual(one.seen, ["waiting", "completed"]);
  all();
});

test("after a change of the network it goes on from its cursor", async () => {
  const { opened, open, make } = service(job(1, "active"));
  const feed = make();
  const one = follow(feed, "job_1");
  await until(() => open.size === 1 && one.seen.length === 1);
  await until(() => opened.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 5));
  feed.resume();
  await until(() => opened.length === 2 && open.size === 1);
  assert.equal(opened[1].cursor, "c1");
  one.stop();
});

test("a hundred and one jobs are followed by one subscription to all", async () => {
  const rows = Array.from({ length: 101 }, (_, n) => job(n, "active"));
  const { opened, make } = service(...rows);
  const feed = make();
  const all = rows.map(({ id }) => follow(feed, id));
  await until(() => opened.length && opened.at(-1).topics[0] === "all");
  all.forEach(({ stop }) => stop());
});

test("a list shows the newest, and fetches more when one goes", async () => {
  const { send, rows, open, make } = service(job(1, "completed"), job(2, "active"), job(3, "waiting"));
  let shown = [];
  const stop = followJobs(make(), { limit: 2 }, { onJobs: (jobs) => (shown = jobs.map(({ id }) => id)), onProblem: assert.fail });
  await until(() => open.size === 1 && shown.length === 2);
  assert.deepEqual(shown, ["job_3", "job_2"]);
  rows.delete("job_3");
  send({ type: "deleted", cursor: "c2", job_id: "job_3" });
  await until(() => shown.length === 2 && shown[0] === "job_2");
  assert.deepEqual(shown, ["job_2", "job_1"]);
  stop();
});

test("an unreachable service is reported once and tried again", async () => {
  const reports = [];
  let left = 5;
  const request = async () => {
    if (left-- > 0) throw new TypeError("Failed to fetch");
    return "found";
  };
  const found = await persistently(request, { signal: new AbortController().signal, onTrouble: ({ code }) => reports.push(code), sleep: async () => {} });
  assert.deepEqual([found, reports], ["found", ["unreachable"]]);
});

test("a job that was submitted a moment ago is looked for again before it is missing", async () => {
  const missing = () => new Problem(404, JSON.stringify({ code: "not-found" }));
  const options = { signal: new AbortController().signal, sleep: async () => {}, onTrouble: assert.fail };
  let left = 2;
  const late = async () => {
    if (left-- > 0) throw missing();
    return "found";
  };
  assert.equal(await persistently(late, options), "found");
  await assert.rejects(persistently(async () => { throw missing(); }, options), { status: 404 });
});
