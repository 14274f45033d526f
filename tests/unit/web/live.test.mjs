import assert from "node:assert/strict";
import { test } from "node:test";

import * as live from "../../../web/static/live.js";

const step = (name, more = {}) => ({ name, status: "active", progress: 0, attempt: 1, attempts: 3, ...more });
const job = (more = {}) => ({
  id: "j1", asset_id: "a1", filename: "talk.mp4", pipeline: "standard", status: "active", progress: 0, run: 1,
  created_at: "2026-11-22T10:00:00.000Z", steps: [step("transcode")], ...more,
});
const stateOf = (...jobs) => {
  const state = live.emptyState();
  live.fold(state, { type: "snapshot", cursor: "c0", jobs });
  return state;
};

test("a snapshot replaces everything and says what came and went", () => {
  const state = stateOf(job({ id: "old" }));
  const changes = live.fold(state, { type: "snapshot", cursor: "c1", jobs: [job({ id: "new" })] });
  assert.deepEqual([...state.jobs.keys()], ["new"]);
  assert.deepEqual(changes.map(({ id, after }) => [id, Boolean(after)]), [["old", false], ["new", true]]);
  assert.equal(state.cursor, "c1");
});

test("a progress frame moves one step and the job, without touching the cursor", () => {
  const state = stateOf(job());
  live.fold(state, { type: "progress", job_id: "j1", step: "transcode", progress: 40, job_progress: 36, eta_s: 9 });
  assert.equal(state.jobs.get("j1").steps[0].progress, 40);
  assert.equal(state.jobs.get("j1").steps[0].eta_s, 9);
  assert.equal(state.jobs.get("j1").progress, 36);
  assert.equal(state.cursor, "c0");
});

test("progress never falls within a run: late frames and lagging rows are outrun", () => {
  const state = stateOf(job());
  live.fold(state, { type: "progress", job_id: "j1", step: "transcode", progress: 40, job_progress: 40 });
  assert.deepEqual(live.fold(state, { type: "progress", job_id: "j1", step: "transcode", progress: 30 }), []);
  live.fold(state, { type: "job", cursor: "c2", job: job({ progress: 10 }) });
  assert.equal(state.jobs.get("j1").steps[0].progress, 40);
  assert.equal(state.jobs.get("j1").progress, 40);
});

test("a new run starts over", () => {
  const state = stateOf(job({ progress: 70, steps: [step("transcode", { progress: 70 })] }));
  live.fold(state, { type: "job", cursor: "c2", job: job({ run: 2 }) });
  assert.equal(state.jobs.get("j1").steps[0].progress, 0);
  assert.equal(state.jobs.get("j1").progress, 0);
});

test("progress of a job that is not known, or of a step that ended, changes nothing", () => {
  const state = stateOf(job({ steps: [step("transcode", { status: "completed", progress: 100 })] }));
  assert.deepEqual(live.fold(state, { type: "progress", job_id: "other", step: "transcode", progress: 1 }), []);
  assert.deepEqual(live.fold(state, { type: "progress", job_id: "j1", step: "transcode", progress: 100 }), []);
});

test("a deleted job goes, also when it is said twice", () => {
  const state = stateOf(job());
  assert.equal(live.fold(state, { type: "deleted", cursor: "c3", job_id: "j1" }).length, 1);
  assert.deepEqual(live.fold(state, { type: "deleted", cursor: "c4", job_id: "j1" }), []);
  assert.equal(state.cursor, "c4");
});

test("a frame of a type that comes later is passed over", () => {
  assert.deepEqual(live.fold(stateOf(job()), { type: "weather" }), []);
});

test("the list is newest first, by group and by name", () => {
  const state = stateOf(
    job({ id: "a", created_at: "2026-11-22T10:00:00.000Z", status: "completed" }),
    job({ id: "b", created_at: "2026-11-22T11:00:00.000Z", filename: "Holiday.MOV" }),
    job({ id: "c", created_at: "2026-11-22T09:00:00.000Z", status: "cancelled" }),
  );
  const ids = (show, text) => live.listed(state.jobs, show, text).map(({ id }) => id);
  assert.deepEqual(ids("all", ""), ["b", "a", "c"]);
  assert.deepEqual(ids("failed", ""), ["c"]);
  assert.deepEqual(ids("all", " holiday "), ["b"]);
  assert.deepEqual(live.counts(state.jobs), { all: 3, running: 1, completed: 1, failed: 1 });
});

test("a step says what a person wants to know of it", () => {
  const now_ms = Date.parse("2026-11-22T10:00:00Z");
  const note = (more) => live.stepNote(step("transcode", more), now_ms);
  assert.equal(note({ progress: 43.9, eta_s: 95 }), "43 % · 2 min left");
  assert.equal(note({ attempt: 2, progress: 5 }), "try 2/3 · 5 %");
  assert.equal(note({ status: "delayed", retry_at: "2026-11-22T10:00:05Z" }), "retry in 5 s");
  assert.equal(note({ status: "delayed", retry_at: "2026-11-22T09:59:00Z" }), "retrying");
  assert.equal(note({ status: "skipped", reason: "no-video-track" }), "no video track");
  assert.equal(note({ status: "completed", started_at: "2026-11-22T09:00:00Z", finished_at: "2026-11-22T09:03:00Z" }), "3 min");
});

test("ages and lengths read as people say them", () => {
  const now_ms = Date.parse("2026-11-22T10:00:00Z");
  assert.equal(live.age("2026-11-22T09:59:57Z", now_ms), "just now");
  assert.equal(live.age("2026-11-22T09:57:00Z", now_ms), "3 minutes ago");
  assert.equal(live.age("2026-11-21T09:57:00Z", now_ms), "yesterday");
  assert.equal(live.age("2026-11-22T10:05:00Z", now_ms), "just now");
  assert.deepEqual([0.04, 42.4, 180, 7500].map(live.duration), ["0.0 s", "42 s", "3 min", "2 h 5 min"]);
});

test("a screen reader hears of a new job and of how it ended, not of every percent", () => {
  const before = job();
  assert.equal(live.announcement({ before, after: job({ progress: 5 }) }), "");
  assert.equal(live.announcement({ before: undefined, after: before }), "talk.mp4 was added");
  const failed = job({ status: "failed", error: { code: "corrupt-media", message: "The file is cut off." } });
  assert.equal(live.announcement({ before, after: failed }), "talk.mp4: Failed: The file is cut off.");
});

test("a storyboard is read with either line ending and either clock", () => {
  const vtt = "WEBVTT\r\n\r\n00:01.500 --> 00:00:03.000\r\nsprite.jpg#xywh=160,0,160,90\r\n";
  assert.deepEqual(live.storyboard(vtt), [{ start_s: 1.5, end_s: 3, image: "sprite.jpg", x: 160, y: 0, w: 160, h: 90 }]);
  assert.deepEqual(live.storyboard("no cues"), []);
});

test("what a snapshot leaves out is asked for from its oldest ended job on", () => {
  const state = live.emptyState();
  const jobs = [job({ id: "r", created_at: "2026-11-01T00:00:00.000Z" }), job({ id: "e", status: "failed" })];
  live.fold(state, { type: "snapshot", cursor: "c", jobs, more: true });
  assert.deepEqual(state.older, { sort: "-created_at", limit: 200, created_before: "2026-11-22T10:00:00.001Z" });
  live.fold(state, { type: "snapshot", cursor: "c", jobs });
  assert.equal(state.older, null);
});

test("a listed job never replaces one that live frames have told of", () => {
  const state = stateOf(job({ progress: 50 }));
  const changes = live.addListed(state, [job({ progress: 1 }), job({ id: "j0" })]);
  assert.deepEqual(changes.map(({ id }) => id), ["j0"]);
  assert.equal(state.jobs.get("j1").progress, 50);
});

test("waiting steps move up in their queue; others, and jobs that are not known, stay as they are", () => {
  const waiting = (id) => job({ id, status: "waiting", steps: [step("transcode", { status: "waiting" })] });
  const state = stateOf(waiting("j1"), waiting("j2"), job({ id: "j3" }));
  const frame = { type: "queue", step: "transcode", positions: { j1: 2, j3: 1, j9: 3 } };
  assert.deepEqual(live.fold(state, frame).map(({ id }) => id), ["j1"]);
  assert.equal(live.stepNote(state.jobs.get("j1").steps[0], 0), "waiting · no. 2 in line");
  assert.equal(live.stepNote(state.jobs.get("j2").steps[0], 0), "waiting");
  assert.deepEqual(live.fold(state, frame), []);
});
