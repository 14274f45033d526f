import assert from "node:assert/strict";
import { test } from "node:test";

import { clock } from "../../../../web/static/embed/storyboard.js";
import { filesOf, renditionsOf } from "../../../../web/static/views/asset_files.js";
import { othersOf, queryOf } from "../../../../web/static/views/similar.js";
import { creditOf, segmentAt } from "../../../../web/static/views/transcript.js";

test("the line that is spoken is the last one that has begun", () => {
  const segments = [{ start_ms: 500 }, { start_ms: 2000 }, { start_ms: 2000 }, { start_ms: 9000 }];
  assert.deepEqual([0, 500, 1999, 2000, 60_000].map((at_ms) => segmentAt(segments, at_ms)), [-1, 0, 0, 2, 3]);
  assert.equal(segmentAt([], 5), -1);
});

test("a transcript names its model, whatever is known of it", () => {
  assert.equal(creditOf({ model: { backend: "local:/models/small" } }), "Transcribed by small");
  assert.equal(creditOf({ model: { backend: "x", name: "tiny.en", library: "fw 1" }, language: "en", language_confidence: 0.971 }),
    "Transcribed by tiny.en (fw 1), language en, 97 % sure");
});

test("a query from a transcript is never longer than the server accepts, and has whole words", () => {
  const segments = Array.from({ length: 500 }, (_, n) => ({ text: ` word${n}` }));
  const q = queryOf(segments);
  assert.ok(q.length <= 400 && /^word\d+( word\d+)*$/.test(q), q);
  assert.equal(queryOf([{ text: " a" }, { text: " b " }]), "a b");
  assert.ok(queryOf([{ text: "漢".repeat(900) }]).length <= 400);
});

test("recordings like this one are others, each once", () => {
  const hits = ["a", "b", "a", "c", "b"].map((asset_id, n) => ({ asset_id, n }));
  assert.deepEqual(othersOf(hits, "a").map(({ n }) => n), [1, 3]);
});

test("outputs become files, and renditions have the largest first", () => {
  const outputs = {
    transcode: { master: "assets/a/transcode/1-x/master.m3u8", renditions: [{ name: "audio" }, { name: "360p", height_px: 360 }, { name: "720p", height_px: 720 }] },
    audio: { audio: "assets/a/audio/1-x/audio.m4a" },
  };
  assert.deepEqual(filesOf(outputs).map(({ step, name }) => [step, name]), [["transcode", "master.m3u8"], ["audio", "audio.m4a"]]);
  assert.deepEqual(renditionsOf(outputs).map(({ name }) => name), ["720p", "360p", "audio"]);
});

test("a position reads like a clock", () => {
  assert.deepEqual([0, 83, 3683, -1].map(clock), ["0:00", "1:23", "1:01:23", "0:00"]);
});
