import assert from "node:assert/strict";
import { test } from "node:test";

import { bars } from "../../../../web/static/views/sparkline.js";
import { warnings } from "../../../../web/static/views/warnings.js";

const NOW_MS = Date.parse("2026-11-26T20:00:00Z");
const queue = (name, more = {}) => ({ name, paused: false, executors: 1, queued: 0, max_active: null, ...more });
const executor = (id, more = {}) => ({ id, status: "active", outdated: false, reported_at: "2026-11-26T19:59:20Z", attempts: [], ...more });
const texts = (found) => warnings({ queues: [], executors: [], active: [], now_ms: NOW_MS, ...found }).map(({ text }) => text);

test("a calm system has no warnings", () => {
  assert.deepEqual(texts({ queues: [queue("probe"), queue("audio", { executors: 0 })], executors: [executor("a")] }), []);
});

test("jobs that wait for an executor, a resume or a limit are named with their number", () => {
  const queues = [
    queue("probe", { executors: 0, queued: 1 }), queue("audio", { paused: true, paused_at: "2026-11-26T19:57:00Z", queued: 1200 }),
    queue("embed", { max_active: 0, queued: 2 }),
  ];
  assert.deepEqual(texts({ queues }), [
    "No executor runs probe: 1 job waits. Start one: kinolog executor.",
    "The audio queue is paused for 3 min: 1,200 jobs wait.",
    "The embed queue is limited to 0: 2 jobs wait.",
  ]);
});

const GB = 1e9;
const system = ({ disk = {}, ...control } = {}) => ({
  control: { behind_records: 0, behind_s: 0, troubles: [], ...control },
  disks: [{ keeps: ["log", "media"], size_bytes: 100 * GB, free_bytes: 18 * GB, reserve_bytes: 1.07 * GB, below_reserve: false, ...disk }],
});

test("a full disk, and control that is behind or not working, come first for an operator", () => {
  assert.deepEqual(texts({ system: system() }), []);
  assert.deepEqual(texts({ system: system({ behind_records: 12, behind_s: 3 }) }), [], "a restart is no trouble");
  const found = { system: system({ behind_records: 1203, behind_s: 42, troubles: ["control has not reported for 12 s on partition 0"], disk: { free_bytes: 0.9 * GB, below_reserve: true } }), queues: [queue("probe", { executors: 0, queued: 1 })] };
  assert.deepEqual(texts(found), [
    "Control has not reported for 12 s on partition 0.",
    "Control is 42 s behind: 1,203 records wait.",
    "Disk of log and media: the last 900 MB are kept for the log. Uploads are refused until jobs are deleted.",
    "No executor runs probe: 1 job waits. Start one: kinolog executor.",
  ]);
});

test("a silent executor, and a job that nobody runs though it is active", () => {
  const steps = [{ name: "transcode", status: "active" }];
  const job = (id, updated_at) => ({ id, filename: `${id}.mp4`, updated_at, steps });
  const active = [job("lost", "2026-11-26T19:50:00Z"), job("runs", "2026-11-26T18:00:00Z"), job("new", "2026-11-26T19:59:50Z")];
  const executors = [executor("a", { status: "silent", attempts: [{ job_id: "runs", step: "transcode" }] })];
  assert.deepEqual(texts({ executors, active }), [
    "lost.mp4 is active, but no executor runs it; its last change was 10 minutes ago.",
    "Executor a has not reported for 40 s.",
  ]);
});

test("a bar of a chart is seen however small, and none is drawn for nothing", () => {
  assert.equal(bars([0, null, 0]), "");
  assert.equal(bars([1, 0, 1000]), "M0 28v-1.5h30v1.5zM80 28v-28h30v28z");
});
