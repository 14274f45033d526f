import assert from "node:assert/strict";
import { test } from "node:test";

import * as filter from "../../../../web/static/filter.js";

const job = (more = {}) => ({
  id: "j1", asset_id: "a1", filename: "Talk.mp4", pipeline: "standard", status: "active", owner: "anna",
  created_at: "2026-11-22T10:00:00.000Z", steps: [{ name: "transcode", status: "waiting", waiting_reason: "queued" }], ...more,
});

test("the URL's parameters are the server's, and what it would refuse or does not need is left out", () => {
  assert.deepEqual(filter.filterOf({ q: " a ", colour: "red", sort: "-created_at", status: "failed" }), { status: "failed", q: "a" });
  assert.deepEqual(filter.filterOf({ sort: "toString" }), {});
  assert.equal(filter.filterOf({ q: "x".repeat(500) }).q.length, 200);
  assert.deepEqual(filter.filterOf({ sort: "updated_at", owner: "anna", status: "active" }), { status: "active", owner: "anna", sort: "updated_at" });
});

test("links of earlier versions choose what they chose", () => {
  assert.deepEqual(filter.filterOf({ show: "running" }), { status: "waiting,active" });
  assert.deepEqual(filter.filterOf({ show: "all", q: "b" }), { q: "b" });
});

test("a live job is matched by the server's rules", () => {
  const isMatch = (params, more) => filter.isMatch(filter.filterOf(params), job(more));
  assert.equal(isMatch({ status: "waiting,active" }), true);
  assert.equal(isMatch({ status: "failed" }), false);
  assert.equal(isMatch({ step: "transcode" }), true);
  assert.equal(isMatch({ step: "transcode:queued" }), true);
  assert.equal(isMatch({ step: "transcode:queued" }, { steps: [{ name: "transcode", status: "waiting" }] }), false, "it waits for another step");
  assert.equal(isMatch({ step: "transcode:failed" }), false);
  assert.equal(isMatch({ step: "audio" }), false);
  assert.equal(isMatch({ pipeline: "video" }), false);
  assert.equal(isMatch({ owner: "bert" }), false);
  assert.equal(isMatch({ error_code: "corrupt-media" }, { error: { code: "corrupt-media" } }), true);
  assert.equal(isMatch({ error_code: "corrupt-media" }), false);
  assert.equal(isMatch({ created_after: "2026-11-22T12:00:00+01:00" }), false);
  assert.equal(isMatch({ created_after: "2026-11-22T10:59:59+01:00" }), true);
  assert.equal(isMatch({ created_before: "2026-11-22T10:00:00Z" }), false);
  assert.equal(isMatch({ q: "TALK" }), true);
});

test("a filter is described by what its own controls do not show", () => {
  assert.deepEqual(filter.filterWords({ status: "failed", q: "x", pipeline: "video", step: "audio:failed" }), ["pipeline video", "step audio failed"]);
  assert.deepEqual(filter.further({ status: "failed", q: "x", sort: "updated_at", owner: "anna" }), { owner: "anna" });
});
