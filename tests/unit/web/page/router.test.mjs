import assert from "node:assert/strict";
import { test } from "node:test";

import { Router } from "../../../../web/static/router.js";

/** A window whose hash the test sets, and views that note what happens to them. */
function setUp(loaders) {
  const happened = [];
  const window = {
    location: { hash: "" },
    scrollY: 0,
    addEventListener: (_type, listener) => (window.changed = listener),
    go: (hash) => ((window.location.hash = hash), window.changed()),
  };
  const note = (name) => ({
    show: (params, id) => happened.push(["show", name, id, params]),
    hide: () => happened.push(["hide", name]),
    arrived: ({ type }) => happened.push(["frame", name, type]),
  });
  const router = new Router({
    views: { jobs: {}, ...Object.fromEntries(Object.entries(loaders).map(([name, load]) => [name, { load }])) },
    mount: (name) => ({ id: name, hidden: true }),
    create: (module, root) => module.createView(root),
    onRoute: (name, _root, top_px) => happened.push(["route", name, top_px]),
    onProblem: (message) => message && happened.push(["problem", message]),
    window,
  });
  const home = { hidden: true };
  router.add("jobs", home, note("jobs"));
  return { router, window, happened, home, note };
}

const module = (note, name) => ({ createView: () => note(name) });

test("one view is shown at a time, and gets the frames", async () => {
  const { router, window, happened, home, note } = setUp({ queues: async () => module(note, "queues") });
  await router.start();
  window.scrollY = 700;
  await window.go("#/queues?step=probe");
  router.arrived({ type: "queue" });
  assert.equal(home.hidden, true);
  await window.go("#/queues?step=audio");
  await window.go("");
  assert.deepEqual(happened, [
    ["route", "jobs", 0], ["show", "jobs", null, {}],
    ["hide", "jobs"], ["route", "queues", 0], ["show", "queues", null, { step: "probe" }],
    ["frame", "queues", "queue"],
    ["show", "queues", null, { step: "audio" }],
    ["hide", "queues"], ["route", "jobs", 700], ["show", "jobs", null, {}],
  ]);
  assert.equal(home.hidden, false);
});

test("a view that is slow to load is not shown once the user has gone elsewhere, and is made once", async () => {
  let finish;
  let made = 0;
  const slow = new Promise((resolve) => (finish = resolve));
  const { router, window, happened, note } = setUp({ audit: () => slow });
  await router.start();
  const opened = [window.go("#/audit"), window.go("#/jobs"), window.go("#/audit"), window.go("#/jobs?q=a")];
  finish({ createView: () => ((made += 1), note("audit")) });
  await Promise.all(opened);
  assert.deepEqual(happened.filter(([kind]) => kind === "show").map(([, name]) => name), ["jobs", "jobs"].slice(0, 2));
  assert.equal(made, 1);
});

test("a view that is not there, or cannot be loaded, is explained, and the next visit tries again", async (t) => {
  t.mock.method(console, "error", () => {});
  let tries = 0;
  const { router, window, happened, note } = setUp({
    tokens: async () => {
      if (!tries++) throw new TypeError("Failed to fetch");
      return module(note, "tokens");
    },
  });
  await router.start();
  await window.go("#/nothing");
  await window.go("#/constructor");
  await window.go("#/tokens");
  assert.deepEqual(happened.slice(-3), [
    ["problem", "There is no such page."], ["problem", "There is no such page."],
    ["problem", "This page could not be loaded. Reload it when the server can be reached."],
  ]);
  await window.go("#/jobs");
  await window.go("#/tokens");
  assert.deepEqual(happened.at(-1), ["show", "tokens", null, {}]);
});
