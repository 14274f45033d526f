import assert from "node:assert/strict";
import { test } from "node:test";

import * as words from "../../../../web/static/words.js";

const step = (name, more = {}) => ({ name, status: "active", progress: 0, attempt: 1, attempts: 3, ...more });
const job = (more = {}) => ({
  id: "j1", asset_id: "a1", filename: "talk.mp4", pipeline: "standard", status: "active", progress: 0, run: 1,
  created_at: "2026-11-22T10:00:00.000Z", steps: [step("transcode")], ...more,
});

test("a step says what a person wants to know of it", () => {
  const now_ms = Date.parse("2026-11-22T10:00:00Z");
  const note = (more) => words.stepNote(step("transcode", more), now_ms);
  assert.equal(note({ progress: 43.9, eta_s: 95 }), "43 % · 2 min left");
  assert.equal(note({ attempt: 2, progress: 5 }), "try 2/3 · 5 %");
  assert.equal(note({ status: "delayed", retry_at: "2026-11-22T10:00:05Z" }), "retry in 5 s");
  assert.equal(note({ status: "delayed", retry_at: "2026-11-22T09:59:00Z" }), "retrying");
  assert.equal(note({ status: "skipped", reason: "no-video-track" }), "no video track");
  assert.equal(note({ status: "completed", started_at: "2026-11-22T09:00:00Z", finished_at: "2026-11-22T09:03:00Z" }), "3 min");
});

test("ages and lengths read as people say them", () => {
  const now_ms = Date.parse("2026-11-22T10:00:00Z");
  assert.equal(words.age("2026-11-22T09:59:57Z", now_ms), "just now");
  assert.equal(words.age("2026-11-22T09:57:00Z", now_ms), "3 minutes ago");
  assert.equal(words.age("2026-11-21T09:57:00Z", now_ms), "yesterday");
  assert.equal(words.age("2026-11-22T10:05:00Z", now_ms), "just now");
  assert.deepEqual([0.04, 42.4, 180, 7500].map(words.duration), ["0.0 s", "42 s", "3 min", "2 h 5 min"]);
});

test("a screen reader hears of a new job and of how it ended, not of every percent", () => {
  const before = job();
  assert.equal(words.announcement({ before, after: job({ progress: 5 }) }), "");
  assert.equal(words.announcement({ before: undefined, after: before }), "talk.mp4 was added");
  const failed = job({ status: "failed", error: { code: "corrupt-media", message: "The file is cut off." } });
  assert.equal(words.announcement({ before, after: failed }), "talk.mp4: Failed: The file is cut off.");
  assert.equal(words.announcement({ before: undefined, after: failed }), "talk.mp4: Failed: The file is cut off.");
});

test("a storyboard is read with either line ending and either clock", () => {
  const vtt = "WEBVTT\r\n\r\n00:01.500 --> 00:00:03.000\r\nsprite.jpg#xywh=160,0,160,90\r\n";
  assert.deepEqual(words.storyboard(vtt), [{ start_s: 1.5, end_s: 3, image: "sprite.jpg", x: 160, y: 0, w: 160, h: 90 }]);
  assert.deepEqual(words.storyboard("no cues"), []);
});

test("a job that only waits says which queue is paused", () => {
  const waiting = [step("probe", { status: "completed" }), step("transcode", { status: "waiting", paused: true, queue_position: 2 })];
  assert.equal(words.statusText(job({ steps: waiting })), "Paused · transcode queue");
  assert.equal(words.stepNote(waiting[1], 0), "paused");
  assert.equal(words.statusText(job({ progress: 7, steps: [...waiting, step("thumbnails")] })), "7 %", "something runs");
  assert.equal(words.statusText(job({ status: "cancelled", steps: waiting })), "Cancelled");
  assert.equal(words.stepNote(step("transcode", { status: "waiting", queue_position: 2 }), 0), "waiting · no. 2 in queue");
});

test("a job that completed without some step says what is missing, why, and which part is damaged", () => {
  const master = step("transcode", { status: "completed", outputs: { master: "m" } });
  const failed = { step: "transcribe", code: "model-failed", message: "The model failed." };
  const skipped = { step: "captions", code: "transcribe-failed", message: "Skipped because transcribe failed." };
  const damaged = { step: "transcode", code: "media-damaged", message: "A part is damaged.", start_ms: 62_000, end_ms: 75_500 };
  const steps = [master, step("transcribe", { status: "failed" }), step("captions", { status: "skipped" })];
  const text = (...warnings) => words.warningText(job({ status: "completed", steps, warnings }));
  assert.equal(text(failed, skipped), "Ready, without transcript and captions: The model failed.");
  assert.equal(text(damaged), "Ready, with defects: A part is damaged. (0:01:02 to 0:01:15)");
  assert.equal(
    text(failed, ...[1, 2, 3].map((n) => ({ ...damaged, start_ms: undefined, message: `Damage ${n}.` }))),
    "Ready, without transcript: The model failed. Damage 1. Damage 2. And 1 more.",
  );
  assert.equal(text(), "");
  assert.equal(words.warningText(job({ status: "completed" })), "", "a server of an older version");
  assert.equal(words.warningText(job({ status: "active", steps, warnings: [failed] })), "");
  const after = job({ status: "completed", steps, warnings: [failed, skipped] });
  assert.equal(words.announcement({ before: job(), after }), `talk.mp4: ${text(failed, skipped)}`);
});
