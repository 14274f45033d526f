import assert from "node:assert/strict";
import { test } from "node:test";

import { filterOf } from "../../../../web/static/filter.js";
import * as live from "../../../../web/static/live.js";

const step = (name, more = {}) => ({ name, status: "active", progress: 0, attempt: 1, attempts: 3, ...more });
const job = (more = {}) => ({
  id: "j1", asset_id: "a1", filename: "talk.mp4", pipeline: "standard", status: "active", progress: 0, run: 1,
  created_at: "2026-11-22T10:00:00.000Z", updated_at: "2026-11-22T10:00:00.000Z", steps: [step("transcode")], ...more,
});
/** A job of which a higher number is newer. */
const numbered = (n, more = {}) =>
  job({ id: `j${n}`, created_at: new Date(Date.UTC(2026, 0, 1) + n * 1000).toISOString(), ...more });
const page = (data, next_cursor = null) => ({ data, next_cursor });
const frame = (job, cursor = "c") => ({ type: "job", cursor, job });
const ids = (state) => live.listed(state).map(({ id }) => id);

/** A state that has loaded one page. */
function stateOf(jobs, { next = null, ...filter } = {}) {
  const state = live.emptyState(filterOf(filter));
  live.fold(state, { type: "snapshot", cursor: "c0", jobs: [] });
  live.nextPage(state);
  live.addPage(state, page(jobs, next));
  return state;
}

test("the first page replaces what was there and says what came and went", () => {
  const state = stateOf([job({ id: "old" })]);
  live.fold(state, { type: "snapshot", cursor: "c1", jobs: [] });
  assert.equal(live.isLoaded(state), false, "until the server has answered again");
  live.nextPage(state);
  const changes = live.addPage(state, page([job({ id: "new" })]));
  assert.deepEqual(ids(state), ["new"]);
  assert.deepEqual(changes.map(({ id, after }) => [id, Boolean(after)]), [["old", false], ["new", true]]);
  assert.equal(state.cursor, "c1");
});

test("the chosen filter is fetched page by page", () => {
  const state = live.emptyState(filterOf({ status: "failed,cancelled", q: " Talk " }));
  assert.deepEqual(live.nextPage(state), { status: "failed,cancelled", q: "Talk", limit: 50 });
  live.addPage(state, page([job({ status: "failed" })], "p2"));
  assert.equal(live.hasMore(state), true);
  state.limit = 700;
  assert.deepEqual(live.nextPage(state), { status: "failed,cancelled", q: "Talk", cursor: "p2", limit: 500 });
  live.addPage(state, page([job({ id: "j0", status: "failed" })]));
  assert.deepEqual([live.hasMore(state), live.isShort(state), state.jobs.size], [false, false, 2]);
  assert.deepEqual(live.nextPage(live.emptyState()), { limit: 50 });
});

test("a job comes and goes as the filter finds it, however old", () => {
  const state = stateOf([numbered(9, { status: "failed" })], { status: "failed,cancelled" });
  live.fold(state, frame(numbered(2, { status: "failed" })));
  live.fold(state, frame(numbered(12, { status: "cancelled" })));
  live.fold(state, frame(numbered(13)));
  assert.deepEqual(ids(state), ["j12", "j9", "j2"]);
  const [{ before, after }] = live.fold(state, frame(numbered(9, { status: "waiting", run: 2 })));
  assert.deepEqual([before.status, after], ["failed", undefined]);
  assert.deepEqual(ids(state), ["j12", "j2"]);
});

test("a job beyond the pages that are loaded comes with its page", () => {
  const state = stateOf([numbered(9), numbered(8)], { next: "p2" });
  assert.deepEqual(live.fold(state, frame(numbered(3))), []);
  assert.deepEqual(ids(state), ["j9", "j8"]);
});

test("the text is looked for where the server does", () => {
  const found = (text, more) => live.fold(stateOf([], { q: text }), frame(job(more))).length;
  assert.equal(found(" HOLIDAY ", { filename: "Holiday.MOV" }), 1);
  assert.equal(found("order 66", { passthrough: "Order 66" }), 1);
  assert.equal(found("cut off", { status: "failed", error: { code: "x", message: "It is cut off." } }), 1);
  assert.equal(found("a1", {}), 1);
  assert.equal(found("standard", {}), 0);
});

test("frames that come while a page is on its way are newer than the page", () => {
  const state = live.emptyState();
  live.nextPage(state);
  live.fold(state, frame(numbered(1, { status: "completed", updated_at: "2026-11-22T11:00:00.000Z" }), "c1"));
  live.fold(state, frame(numbered(5), "c2"));
  live.fold(state, { type: "deleted", cursor: "c3", job_id: "j2" });
  live.addPage(state, page([numbered(3), numbered(2), numbered(1)]));
  assert.deepEqual(ids(state), ["j5", "j3", "j1"]);
  assert.equal(state.jobs.get("j1").status, "completed");
  assert.equal(state.cursor, "c3");
});

test("a page that is older than what live frames have shown takes nothing back", () => {
  const state = stateOf([numbered(1, { updated_at: "2026-11-22T11:00:00.000Z", progress: 50 })]);
  live.nextPage(state);
  live.addPage(state, page([numbered(1, { progress: 1 })]));
  assert.equal(state.jobs.get("j1").progress, 50);
});

test("another choice shows what is known of it at once, and claims nothing", () => {
  const state = stateOf([numbered(2, { status: "failed" }), numbered(1)]);
  const changes = live.choose(state, filterOf({ status: "failed" }));
  assert.deepEqual([changes.map(({ id }) => id), ids(state), live.isLoaded(state)], [["j1"], ["j2"], false]);
});

test("a page that is left open does not grow for ever, and loses nothing", () => {
  const state = stateOf([numbered(2), numbered(1)], { next: null });
  for (let n = 3; n < 1000; n += 1) live.fold(state, frame(numbered(n)));
  assert.ok(state.jobs.size <= 250 && state.jobs.size >= 50, `${state.jobs.size}`);
  assert.deepEqual(ids(state)[0], "j999");
  assert.equal(live.hasMore(state), true);
  state.limit = 300;
  assert.deepEqual(live.nextPage(state), { limit: 300 }, "from the start: nobody knows where the server would go on");
});

test("a progress frame moves one step and the job, without touching the cursor", () => {
  const state = stateOf([job()]);
  live.fold(state, { type: "progress", job_id: "j1", step: "transcode", progress: 40, job_progress: 36, eta_s: 9 });
  assert.equal(state.jobs.get("j1").steps[0].progress, 40);
  assert.equal(state.jobs.get("j1").steps[0].eta_s, 9);
  assert.equal(state.jobs.get("j1").progress, 36);
  assert.equal(state.cursor, "c0");
});

test("progress never falls within a run: late frames and lagging rows are outrun", () => {
  const state = stateOf([job()]);
  live.fold(state, { type: "progress", job_id: "j1", step: "transcode", progress: 40, job_progress: 40, eta_s: 9 });
  assert.deepEqual(live.fold(state, { type: "progress", job_id: "j1", step: "transcode", progress: 30 }), []);
  live.fold(state, frame(job({ progress: 10 })));
  assert.deepEqual([state.jobs.get("j1").steps[0].progress, state.jobs.get("j1").steps[0].eta_s], [40, 9]);
  assert.equal(state.jobs.get("j1").progress, 40);
  live.fold(state, frame(job({ steps: [step("transcode", { status: "waiting", paused: true })] })));
  assert.deepEqual(state.jobs.get("j1").steps[0], step("transcode", { status: "waiting", paused: true, progress: 40 }));
});

test("a new run starts over", () => {
  const state = stateOf([job({ progress: 70, steps: [step("transcode", { progress: 70 })] })]);
  live.fold(state, frame(job({ run: 2 })));
  assert.equal(state.jobs.get("j1").steps[0].progress, 0);
  assert.equal(state.jobs.get("j1").progress, 0);
});

test("progress of a job that is not known, or of a step that ended, changes nothing", () => {
  const state = stateOf([job({ steps: [step("transcode", { status: "completed", progress: 100 })] })]);
  assert.deepEqual(live.fold(state, { type: "progress", job_id: "other", step: "transcode", progress: 1 }), []);
  assert.deepEqual(live.fold(state, { type: "progress", job_id: "j1", step: "transcode", progress: 100 }), []);
});

const heard = (id, text, more = {}) => ({ type: "caption", job_id: "j1", id, text, language: "en", ...more });
const captions = (state) => [...state.jobs.values()].map(({ caption }) => caption?.text);

test("the newest words are there while they are heard, and go with their step", () => {
  const listening = { steps: [step("transcribe")] };
  const state = stateOf([job(listening)]);
  live.fold(state, heard(0, "Ask not"));
  live.fold(state, heard(1, "what your country"));
  live.fold(state, heard(0, "Ask not")); // a late frame
  live.fold(state, frame(job({ ...listening, updated_at: "2026-11-22T10:00:05.000Z" })));
  assert.deepEqual(captions(state), ["what your country"]);
  live.fold(state, frame(job({ steps: [step("transcribe", { attempt: 2 })], updated_at: "2026-11-22T10:00:06.000Z" })));
  assert.deepEqual(captions(state), [undefined], "another attempt hears it from the beginning");
  live.fold(state, heard(0, "Ask not"));
  assert.deepEqual(captions(state), ["Ask not"]);
  live.fold(state, frame(job({ steps: [step("transcribe", { status: "completed", attempt: 2 })], updated_at: "2026-11-22T10:00:07.000Z" })));
  live.fold(state, heard(2, "can do for you"));
  assert.deepEqual(captions(state), [undefined]);
});

test("a caption of a job that is not listed, or without end, costs nothing", () => {
  const state = stateOf([job({ steps: [step("transcribe")] })]);
  assert.deepEqual(live.fold(state, heard(0, "x", { job_id: "j2" })), []);
  live.fold(state, heard(0, "x".repeat(1_000_000)));
  assert.ok(captions(state)[0].length <= 300);
});

test("a deleted job goes, also when it is said twice", () => {
  const state = stateOf([job()]);
  assert.equal(live.fold(state, { type: "deleted", cursor: "c3", job_id: "j1" }).length, 1);
  assert.deepEqual(live.fold(state, { type: "deleted", cursor: "c4", job_id: "j1" }), []);
  assert.equal(state.cursor, "c4");
});

test("a frame of a type that comes later is passed over", () => {
  assert.deepEqual(live.fold(stateOf([job()]), { type: "weather" }), []);
});

test("waiting steps move up in their queue, and a pause holds all of them", () => {
  const waiting = (id, more) => job({ id, status: "waiting", steps: [step("transcode", { status: "waiting", ...more })] });
  const state = stateOf([waiting("j1"), waiting("j2", { queue_position: 900, eta_s: 4 }), job({ id: "j3" })]);
  const moved = { type: "queue", step: "transcode", paused: false, positions: { j1: 2, j3: 1, j9: 3 } };
  assert.deepEqual(live.fold(state, moved).map(({ id }) => id), ["j1"]);
  assert.deepEqual(live.fold(state, moved), []);
  live.fold(state, { ...moved, paused: true });
  assert.deepEqual(state.jobs.get("j1").steps[0], step("transcode", { status: "waiting", queue_position: 2, paused: true }));
  assert.deepEqual(state.jobs.get("j2").steps[0], step("transcode", { status: "waiting", queue_position: 900, paused: true }));
  assert.deepEqual(state.jobs.get("j3"), job({ id: "j3" }));
});

test("a list in the order of changes takes what has changed to its place, and lets go what falls behind its pages", () => {
  const at = (n, more) => numbered(n, { updated_at: new Date(Date.UTC(2026, 1, 1) + n * 1000).toISOString(), ...more });
  const state = stateOf([at(9), at(8), at(7)], { sort: "-updated_at", next: "p2" });
  live.fold(state, frame({ ...at(3), updated_at: at(20).updated_at }));
  assert.deepEqual(ids(state), ["j3", "j9", "j8", "j7"]);
  assert.deepEqual(live.fold(state, frame(at(2))), []);
  const oldest = stateOf([at(1), at(2), at(3)], { sort: "updated_at", next: "p2" });
  live.fold(oldest, frame({ ...at(1), updated_at: at(20).updated_at }));
  assert.deepEqual(ids(oldest), ["j2", "j3"], "it comes again with its page");
});
