import assert from "node:assert/strict";
import { test } from "node:test";

import { outcomeText, planOf, planOfAll, planText } from "../../../../web/static/bulk.js";

const job = (n, status, more = {}) => ({ id: `job_${n}`, status, steps: [], ...more });
const range = (length, make) => Array.from({ length }, (_, n) => make(n));

test("only jobs that can take the command are sent, in requests that show progress", () => {
  const chosen = [...range(450, (n) => job(n, "active")), job(900, "completed"), job(901, "active", { cancelling: true })];
  const { count, others, requests } = planOf("cancel", chosen);
  assert.deepEqual([count, others], [450, 2]);
  assert.deepEqual(requests.map(({ path, body, count: size }) => [path, body.ids.length, size, body.status]), [
    ["/v1/jobs/cancel", 200, 200, "all"], ["/v1/jobs/cancel", 200, 200, "all"], ["/v1/jobs/cancel", 50, 50, "all"],
  ]);
  assert.match(planText("cancel", { count, others }), /2 of the 452 chosen are left as they are: only jobs that wait or run/);
});

test("a retry takes failed, cancelled and incomplete jobs, and no others", () => {
  const lacks = job(3, "completed", { steps: [{ name: "captions", status: "failed" }], warnings: [{ step: "captions", code: "x" }] });
  const { count, requests } = planOf("retry", [job(1, "failed"), job(2, "completed"), lacks, job(4, "waiting"), job(5, "cancelled")]);
  assert.equal(count, 3);
  assert.deepEqual(requests.map(({ body }) => body), [{ ids: ["job_3"], status: "completed" }, { ids: ["job_1", "job_5"], status: "all" }]);
});

test("clearing keeps the files of ready assets, deleting does not", () => {
  assert.deepEqual(planOf("clear", [job(1, "completed")]).requests[0].body, { ids: ["job_1"], status: "all", artifacts: false });
  assert.deepEqual(planOf("delete", [job(1, "failed")]).requests[0].body, { ids: ["job_1"], status: "all", artifacts: true });
});

test("all that match the filter: by status, and never jobs that come later", () => {
  const counts = { waiting: 3, active: 0, completed: 9, failed: 4000, cancelled: 2 };
  const filter = { status: "failed,completed", pipeline: "video", q: "a", sort: "updated_at" };
  const plan = planOfAll("retry", filter, counts, Date.parse("2026-11-26T20:00:00Z"));
  assert.deepEqual([plan.count, plan.others], [4000, 9]);
  assert.deepEqual(plan.requests.map(({ body }) => body), [
    { pipeline: "video", q: "a", created_before: "2026-11-26T20:00:00.000Z", status: "failed" },
  ]);
  const all = planOfAll("cancel", { created_before: "2026-01-01T00:00:00Z" }, counts, 0);
  assert.deepEqual(all.requests.map(({ body }) => body), [{ created_before: "2026-01-01T00:00:00Z", status: "waiting" }]);
  assert.equal(planOfAll("delete", { status: "active" }, { active: 5 }, 0).count, 0);
});

test("the outcome tells what was done, what was not and why", () => {
  assert.equal(outcomeText("cancel", 3, 3), "3 of 3 jobs cancelled.");
  assert.equal(outcomeText("retry", 1998, 2000), "1,998 of 2,000 jobs retried. 2 could not be: they changed meanwhile, or are gone.");
  assert.equal(outcomeText("delete", 200, 450, new Error("Too many requests.")), "200 of 450 jobs deleted. Then it stopped: Too many requests.");
});
