import assert from "node:assert/strict";
import { test } from "node:test";

import { parseRoute, routeHash } from "../../../../web/static/route.js";

test("a hash names a view, a thing and parameters", () => {
  assert.deepEqual(parseRoute(""), { view: "jobs", id: null, params: {} });
  assert.deepEqual(parseRoute("#/"), { view: "jobs", id: null, params: {} });
  assert.deepEqual(parseRoute("#/jobs?status=failed&q=a%20%26+b"), { view: "jobs", id: null, params: { status: "failed", q: "a & b" } });
  assert.deepEqual(parseRoute("#/dead-letters"), { view: "dead-letters", id: null, params: {} });
  assert.deepEqual(parseRoute("#/asset/anna%2Ffilm?t=3"), { view: "asset", id: "anna/film", params: { t: "3" } });
  assert.deepEqual(parseRoute("#/search?q=who?"), { view: "search", id: null, params: { q: "who?" } });
});

test("links to jobs of earlier versions open the job", () => {
  assert.deepEqual(parseRoute("#job_01ABC"), { view: "job", id: "job_01ABC", params: {} });
  assert.equal(routeHash("job", "job_01ABC"), "#job_01ABC");
});

test("a hash that a person has broken is no exception", () => {
  assert.deepEqual(parseRoute("#/asset/100%"), { view: "asset", id: "100%", params: {} });
  assert.equal(parseRoute("#/jobs?q=%").params.q, "%");
  assert.equal(parseRoute("#/constructor").view, "constructor");
});

test("what is written is what is read", () => {
  for (const [view, id, params] of [
    ["jobs", null, { status: "failed,cancelled", q: "50 % & more?#/" }],
    ["asset", "a/b c?d#é", {}],
    ["search", null, { q: "naïve" }],
  ]) {
    assert.deepEqual(parseRoute(routeHash(view, id, params)), { view, id, params });
  }
  assert.equal(routeHash("jobs", null, { status: "", q: null }), "#/jobs");
});
