import assert from "node:assert/strict";
import { test } from "node:test";

import { attempts, eventText, files, span } from "../../../../web/static/timeline.js";

const START_MS = Date.parse("2026-11-22T10:00:00.000Z");
const at = (s) => new Date(START_MS + s * 1000).toISOString();
const event = (s, kind, more = {}) => ({ time: at(s), type: `media.${kind}.v1`, run: 1, ...more });
const step = (s, verb, name, attempt = 1, more = {}) => event(s, `step.${verb}`, { step: name, attempt, ...more });
const job = (more = {}) => ({ status: "active", created_at: at(0), finished_at: null, run: 1, steps: [], ...more });
const seconds = (ms) => (ms - START_MS) / 1000;
const short = (bar) => [bar.step, bar.attempt, bar.outcome, ...[bar.ready_ms, bar.from_ms, bar.to_ms].map(seconds)];

test("an attempt waits for the step before it, and a retry for its time", () => {
  const error = { code: "out-of-memory", message: "The encoder needs more memory." };
  const events = [
    event(0, "job.submitted"), step(1, "started", "probe"), step(2, "completed", "probe"),
    step(3, "started", "transcode"), step(9, "retried", "transcode", 1, { error, retry_at: at(14) }),
    step(15, "started", "transcode", 2),
  ];
  const bars = attempts(events, job(), START_MS + 20_000);
  assert.deepEqual(bars.map(short), [
    ["probe", 1, "completed", 0, 1, 2],
    ["transcode", 1, "retried", 2, 3, 9],
    ["transcode", 2, "active", 9, 15, 20],
  ]);
  assert.deepEqual(bars[1].error, error);
});

test("what ran when a job was cancelled ended with it, and the next run begins anew", () => {
  const events = [
    event(0, "job.submitted"), step(1, "started", "probe"), event(4, "job.cancelled"),
    { ...step(100, "started", "probe"), run: 2 }, { ...step(101, "completed", "probe"), run: 2 },
  ];
  const ended = job({ status: "completed", finished_at: at(101), run: 2 });
  assert.deepEqual(attempts(events, ended, START_MS + 500_000).map(short), [
    ["probe", 1, "cancelled", 0, 1, 4],
    ["probe", 1, "completed", 100, 100, 101],
  ]);
});

test("an end whose start is no longer on the log is no bar, and does not break the others", () => {
  const events = [step(5, "completed", "probe"), step(6, "started", "transcode")];
  assert.deepEqual(attempts(events, job(), START_MS + 7000).map(short), [["transcode", 1, "active", 5, 6, 7]]);
});

test("the axis begins with the job and ends with it, and is never empty", () => {
  assert.deepEqual(span([], job(), START_MS), { from_ms: START_MS, to_ms: START_MS + 1000 });
  const ended = job({ status: "failed", finished_at: at(30) });
  assert.equal(seconds(span([], ended, START_MS + 900_000).to_ms), 30);
});

test("events read as sentences", () => {
  const error = { code: "model-failed", message: "The model failed." };
  assert.equal(eventText(event(0, "job.submitted")), "job submitted");
  assert.equal(eventText(step(0, "started", "probe")), "probe started");
  assert.equal(eventText(step(0, "completed", "probe", 1, { elapsed_s: 12.3 })), "probe completed (after 12 s)");
  assert.equal(
    eventText(step(0, "retried", "audio", 2, { elapsed_s: 3, error })),
    "audio failed, will be tried again (try 2, after 3 s): The model failed.",
  );
  assert.equal(eventText(step(0, "skipped", "audio", 1, { reason: "no-audio-track" })), "audio skipped: no audio track");
  assert.equal(eventText(event(0, "job.failed", { error })), "job failed: The model failed.");
  assert.equal(eventText(event(0, "asset.ready")), "asset ready");
});

test("the files of a job are the store keys in its outputs, once each", () => {
  const master = "assets/a1/transcode/1-x/master.m3u8";
  const outputs = { master, again: master, width: 640, renditions: [{ playlist: "assets/a1/transcode/1-x/v0/list.m3u8" }], note: "text" };
  const found = files({ steps: [{ name: "transcode", outputs }, { name: "embed" }] });
  assert.deepEqual(found.map(({ step, name }) => [step, name]), [["transcode", "master.m3u8"], ["transcode", "v0/list.m3u8"]]);
});
