import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Problem } from "../../../../web/static/kinolog.js";
import { emptyState } from "../../../../web/static/live.js";
import { Counter, Pages } from "../../../../web/static/loading.js";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

const settled = () => new Promise((resolve) => setImmediate(resolve));
async function pass(ms) {
  await settled();
  mock.timers.tick(ms);
  await settled();
}

/** A server whose answers the test gives. */
function server() {
  const requests = [];
  const call = (_method, target) => new Promise((answer, refuse) => requests.push({ target, answer, refuse }));
  return { requests, call };
}

test("however much happens, the counts are requested once a second, and the last time after the last change", async () => {
  const { requests, call } = server();
  const seen = [];
  const counter = new Counter({ call, onCounts: (jobs) => seen.push(jobs) });
  for (let n = 0; n < 100; n += 1) counter.changed();
  requests[0].answer({ data: { jobs: { failed: 1 } } });
  await settled();
  counter.changed();
  await pass(900);
  assert.equal(requests.length, 1);
  await pass(200);
  assert.equal(requests.length, 2);
  requests[1].answer({ data: { jobs: { failed: 2 } } });
  await pass(5_000);
  assert.deepEqual([seen, requests.length], [[{ failed: 1 }, { failed: 2 }], 2]);
});

test("counts that cannot be had are requested again, but not with a token that is refused", async () => {
  const { requests, call } = server();
  const counter = new Counter({ call, onCounts: () => {} });
  counter.changed();
  requests[0].refuse(new TypeError("no network"));
  await pass(1_000);
  assert.equal(requests.length, 2);
  requests[1].refuse(new Problem(401, "{}"));
  await pass(60_000);
  assert.equal(requests.length, 2);
});

const page = (ids, next_cursor = null) => ({
  data: ids.map((id) => ({ id, status: "failed", created_at: "2026-01-01T00:00:00.000Z", steps: [] })), next_cursor,
});

test("the answer to an earlier choice is not taken for that to a later one", async () => {
  const { requests, call } = server();
  const state = emptyState();
  const pages = new Pages({ state, call, onChanges: () => {}, onProblem: () => {} });
  pages.load();
  await pass(0);
  pages.load(300);
  requests[0].answer(page(["late"]));
  await pass(300);
  requests[1].answer(page(["right"]));
  await settled();
  assert.deepEqual([...state.jobs.keys()], ["right"]);
});

test("pages are requested up to the limit", async () => {
  const { requests, call } = server();
  const state = emptyState();
  state.limit = 2;
  const pages = new Pages({ state, call, onChanges: () => {}, onProblem: () => {} });
  pages.load();
  await pass(0);
  requests[0].answer(page(["a"], "p2"));
  await settled();
  requests[1].answer(page(["b"], "p3"));
  await settled();
  assert.deepEqual([[...state.jobs.keys()], requests.length], [["a", "b"], 2]);
  state.jobs.clear();
  pages.refill();
  await pass(0);
  assert.match(requests[2].target, /cursor=p3/);
});

test("counts of an earlier filter are not taken for those of a later one", async () => {
  const { requests, call } = server();
  const seen = [];
  let filter = { q: "a" };
  const counter = new Counter({ call, onCounts: (jobs) => seen.push(jobs), query: () => filter });
  counter.changed();
  filter = { pipeline: "video" };
  counter.changed();
  requests[0].answer({ data: { jobs: { failed: 1 } } });
  await pass(0);
  assert.deepEqual(requests.map(({ target }) => target), ["/v1/jobs/counts?q=a", "/v1/jobs/counts?pipeline=video"]);
  requests[1].answer({ data: { jobs: { failed: 2 } } });
  await pass(0);
  assert.deepEqual(seen, [{ failed: 2 }]);
});
