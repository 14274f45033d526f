import assert from "node:assert/strict";
import { test } from "node:test";

import { jobRoute, steady, videoRoute } from "../../../../web/static/react/routes.js";
import { StatusStore } from "../../../../web/static/react/status_store.js";

const status = (state, progress) => ({ id: "job_1", state, progress });

test("progress never falls while a job runs, and begins again with a retry", () => {
  const route = jobRoute("job_1");
  assert.equal(steady(route, status("active", 38), status("active", 10)).progress, 38);
  assert.equal(steady(route, status("failed", 38), status("active", 10)).progress, 10);
  assert.equal(steady(route, undefined, status("active", 10)).progress, 10);
  assert.equal(steady(videoRoute("job_1"), { status: "processing", progress_percentage: 5 }, { status: "processing", progress_percentage: 4 }).progress_percentage, 5);
});

/** A feed whose one listener is at hand. */
function fakeFeed(answers) {
  const feed = { listeners: [], kinolog: { call: async () => ({ data: answers.length > 1 ? answers.shift() : answers[0] }) } };
  feed.listen = (listener) => {
    feed.listeners.push(listener);
    return { want: (topic) => (listener.topic = topic), close: () => feed.listeners.splice(feed.listeners.indexOf(listener), 1) };
  };
  return feed;
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

test("a store follows while it is watched, and until it is complete", async () => {
  const feed = fakeFeed([status("active", 10), status("completed", 100)]);
  const store = new StatusStore(() => feed, jobRoute("job_1"));
  assert.equal(feed.listeners.length, 0);
  store.subscribe(() => {})(); // strict mode
  const stop = store.subscribe(() => {});
  await settled();
  assert.equal(feed.listeners.length, 1);
  assert.equal(feed.listeners[0].topic, "job:job_1");
  const before = store.get();
  feed.listeners[0].onFrame({ type: "progress", job_id: "job_2", job_progress: 99 });
  assert.equal(store.get(), before, "an unchanged state is the same object");
  feed.listeners[0].onFrame({ type: "job", job: { id: "job_1" } });
  await settled();
  assert.equal(store.get().data.state, "completed");
  assert.equal(feed.listeners.length, 0);
  stop();
});
