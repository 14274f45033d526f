import assert from "node:assert/strict";
import { test } from "node:test";

import { MOST_ROWS, rowWindow } from "../../../../web/static/row_window.js";

test("a list of some hundred rows is there as a whole", () => {
  assert.deepEqual(rowWindow(0, 60, 400), { start: 0, end: 0 });
  assert.deepEqual(rowWindow(MOST_ROWS, 60, -9_000), { start: 0, end: MOST_ROWS });
});

test("of a long list the rows around the screen are there, wherever it is scrolled to", () => {
  for (let top_px = 500; top_px > -600_000; top_px -= 977) {
    const { start, end } = rowWindow(10_000, 60, top_px);
    const first = Math.max(0, -top_px / 60);
    assert.ok(start >= 0 && end <= 10_000 && end - start === MOST_ROWS);
    assert.ok(start <= first && Math.min(9_999, first + 20) < end, `${top_px}`);
  }
});

test("a few pixels more draw no rows", () => {
  const starts = Array.from({ length: 100 }, (_, n) => rowWindow(10_000, 60, -60_000 - n * 30).start);
  assert.ok(new Set(starts).size <= 2);
});
