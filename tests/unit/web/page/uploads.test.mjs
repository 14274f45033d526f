import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { MOST_FILES, droppedFiles } from "../../../../web/static/dropped.js";
import { Sending } from "../../../../web/static/sending.js";
import { recall, remember } from "../../../../web/static/storage.js";

const file = (name, type = "video/mp4") => new File(["bytes"], name, { type });
const fileEntry = (name, type) => ({ name, isDirectory: false, file: (found) => found(file(name, type)) });
const lostEntry = (name) => ({ name, isDirectory: false, file: (_found, fail) => fail(new Error("gone")) });

/** A folder as Chromium gives it: a hundred entries at a time. */
function folder(entries) {
  const createReader = () => {
    const rest = [...entries];
    return { readEntries: (found) => found(rest.splice(0, 100)) };
  };
  return { isDirectory: true, createReader };
}

const drop = (...entries) => ({ files: [], items: entries.map((entry) => ({ kind: "file", webkitGetAsEntry: () => entry })) });
const names = ({ files }) => files.map(({ name }) => name);

test("every file of a dropped folder comes, however many a browser lists at once", async () => {
  const many = Array.from({ length: 250 }, (_, number) => fileEntry(`${number}.mp4`));
  const { files, left } = await droppedFiles(drop(folder([...many, folder([fileEntry("deep.mkv", "")])])));
  assert.equal(files.length, 251);
  assert.equal(left, 0);
});

test("what a folder has besides media is left out, and counted", async () => {
  const found = await droppedFiles(drop(folder([fileEntry(".DS_Store", ""), fileEntry("notes.txt", "text/plain"), fileEntry("a.mp4"), lostEntry("gone.mp4")])));
  assert.deepEqual([names(found), found.left], [["a.mp4"], 3]);
});

test("a file that is dropped itself is taken whatever it is: the server says why not", async () => {
  assert.deepEqual(names(await droppedFiles(drop(fileEntry("notes.txt", "text/plain")))), ["notes.txt"]);
});

test("a folder that cannot be read ends the drop of no other file", async () => {
  const closed = { isDirectory: true, createReader: () => ({ readEntries: (_found, fail) => fail(new Error("denied")) }) };
  const found = await droppedFiles(drop(closed, fileEntry("a.mp4")));
  assert.deepEqual([names(found), found.left], [["a.mp4"], 1]);
});

test("a whole disk that is dropped by mistake adds so many files, and no more", async () => {
  const found = await droppedFiles(drop(folder(Array.from({ length: MOST_FILES + 50 }, (_, number) => fileEntry(`${number}.mp4`)))));
  assert.equal(found.files.length, MOST_FILES);
  assert.ok(found.left > 0);
});

test("a browser without folders gives files", async () => {
  assert.deepEqual(names(await droppedFiles({ files: [file("a.mp4")] })), ["a.mp4"]);
});

test("a browser that stores nothing breaks nothing", () => {
  Object.defineProperty(globalThis, "localStorage", { configurable: true, get: () => { throw new Error("SecurityError"); } });
  assert.equal(recall("localStorage", "a"), "");
  assert.equal(remember("localStorage", "a", "b"), false);
  Object.defineProperty(globalThis, "localStorage", { configurable: true, value: { getItem: () => null, setItem: () => { throw new Error("QuotaExceededError"); } } });
  assert.equal(recall("localStorage", "a"), "");
  assert.equal(remember("localStorage", "a", "b"), false);
});

/** Requests that are answered in turn: a number is a status, "lost" a lost connection, an object {status, headers, text}. */
function server(answers) {
  const asked = [];
  class FakeRequest {
    upload = {};
    headers = {};
    open(method, url) {
      this.method = method;
      this.url = url;
    }
    setRequestHeader(name, value) {
      this.headers[name] = value;
    }
    getResponseHeader(name) {
      return this.answer.headers?.[name] ?? null;
    }
    send(body) {
      asked.push({ method: this.method, path: new URL(this.url).pathname + new URL(this.url).search, headers: this.headers, bytes: body?.size ?? 0 });
      const answer = answers.shift() ?? 500;
      if (answer === "silent") return;
      if (answer === "lost") return queueMicrotask(() => (this.onerror(), this.onloadend()));
      this.answer = typeof answer === "number" ? { status: answer } : answer;
      this.status = this.answer.status;
      this.responseText = this.answer.text ?? "";
      queueMicrotask(() => (this.onload(), this.onloadend()));
    }
    abort() {
      this.onabort?.();
      this.onloadend?.();
    }
  }
  return { asked, FakeRequest };
}

const large = { name: "größe.mp4", size: 20_000_000, lastModified: 7, slice: (from) => ({ size: 20_000_000 - from }) };
const created = { status: 201, headers: { Location: "https://public.example/v1/uploads/tus/tus_1", "Kinolog-Job-Id": "job_1" } };
const has = (offset) => ({ status: 200, headers: { "Upload-Offset": String(offset), "Kinolog-Job-Id": "job_1" } });

/** A browser's storage. */
function store() {
  const kept = new Map();
  const value = { getItem: (name) => kept.get(name) ?? null, setItem: (name, text) => kept.set(name, text), removeItem: (name) => kept.delete(name) };
  Object.defineProperty(globalThis, "localStorage", { configurable: true, value });
  return kept;
}

function sending(sent, answers, fields = { pipeline: "video", priority: "high" }) {
  const { asked, FakeRequest } = server(answers);
  const one = new Sending({ file: sent, fields, key: "k1", token: "t", onSent() {}, Request: FakeRequest, wait: async () => {} });
  return { one, asked };
}

const decoded = (header) => Object.fromEntries(header.split(",").map((pair) => pair.split(" ")).map(([name, value]) => [name, Buffer.from(value, "base64").toString()]));

test("a small file is sent at once, with what was chosen", async () => {
  const { one, asked } = sending(file("a b.mp4"), [{ status: 201, text: '{"data": {"job_id": "job_7"}}' }]);
  assert.equal(await one.send(), "job_7");
  assert.equal(asked[0].path.slice(asked[0].path.indexOf("/v1")), "/v1/uploads?filename=a+b.mp4&pipeline=video&priority=high");
  assert.equal(asked[0].headers["Idempotency-Key"], "k1");
  assert.equal(asked[0].headers.Authorization, "Bearer t");
});

test("the server's default is not named: it may change", async () => {
  const { one, asked } = sending(file("a.mp4"), [{ status: 201, text: '{"data": {"job_id": "job_7"}}' }], { pipeline: "", priority: "normal" });
  await one.send();
  assert.doesNotMatch(asked[0].path, /pipeline/);
});

test("a large file goes on after a lost connection from what the server has, with what was chosen", async () => {
  const { one, asked } = sending(large, [created, "lost", "lost", has(12_000_000), { status: 204 }]);
  assert.equal(await one.send(), "job_1");
  assert.deepEqual(asked.map(({ method, bytes }) => [method, bytes]), [["POST", 0], ["PATCH", 20_000_000], ["HEAD", 0], ["HEAD", 0], ["PATCH", 8_000_000]]);
  assert.deepEqual(decoded(asked[0].headers["Upload-Metadata"]), { filename: "größe.mp4", pipeline: "video", priority: "high" });
  assert.ok(asked[1].path.endsWith("/v1/uploads/tus/tus_1"), "at the address of the page");
});

test("a response that was lost costs no byte twice", async () => {
  const { one, asked } = sending(large, [created, "lost", has(20_000_000)]);
  assert.equal(await one.send(), "job_1");
  assert.equal(asked.filter(({ method }) => method === "PATCH").length, 1);
});

test("an offset that differs is asked for; an upload that has expired begins again", async () => {
  const { one, asked } = sending(large, [created, 409, has(5), "lost", 404, created, { status: 204 }]);
  assert.equal(await one.send(), "job_1");
  assert.deepEqual(asked.map(({ method }) => method), ["POST", "PATCH", "HEAD", "PATCH", "HEAD", "POST", "PATCH"]);
});

test("replicas that know nothing of each other's uploads get the file as a whole", async () => {
  const { one, asked } = sending(large, [created, 404, { status: 201, text: '{"data": {"job_id": "job_9"}}' }]);
  assert.equal(await one.send(), "job_9");
  assert.equal(asked.at(-1).bytes, 20_000_000);
});

test("what no try can cure is said at once: a full disk, a pipeline that is not offered", async () => {
  for (const status of [507, 422, 403, 413]) {
    const { one, asked } = sending(large, [{ status, text: '{"detail": "No."}' }]);
    await assert.rejects(one.send(), /No\./);
    assert.equal(asked.length, 1);
  }
});

test("a dead network is given up after some tries, and a person goes on where it was", async () => {
  const { one, asked } = sending(large, [created, ...Array(6).fill("lost"), has(7_000_000), { status: 204 }]);
  await assert.rejects(one.send(), /connection was lost/);
  assert.equal(await one.send(), "job_1");
  assert.equal(asked.filter(({ method }) => method === "POST").length, 1);
});

test("as long as bytes arrive the tries do not run out", async () => {
  const slow = Array.from({ length: 30 }, (_, number) => ["lost", has((number + 1) * 100_000)]).flat();
  const { one } = sending(large, [created, ...slow, { status: 204 }]);
  assert.equal(await one.send(), "job_1");
});

test("a connection that died without a word is given up, and the upload goes on", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const { one, asked } = sending(large, [created, "silent", has(3_000_000), { status: 204 }]);
  const sent = one.send();
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  mock.timers.tick(60_000);
  assert.equal(await sent, "job_1");
  assert.equal(asked.at(-1).bytes, 17_000_000);
});

test("what is removed is deleted at the server", async () => {
  const { one, asked } = sending(large, [created, "lost", "lost", "lost", "lost", "lost", "lost"]);
  await assert.rejects(one.send());
  one.stop();
  assert.equal(asked.at(-1).method, "DELETE");
});

test("a page that was closed goes on with the same file where it was, unless something else was chosen for it", async () => {
  const kept = store();
  const film = { ...large, name: "film.mp4" };
  kept.set("kinolog.uploads", JSON.stringify([[JSON.stringify(["film.mp4", 20_000_000, 7, [["filename", "film.mp4"], ["priority", "low"]]]), "tus_9"]]));
  const { one, asked } = sending(film, [has(15_000_000), { status: 204 }], { pipeline: "", priority: "low" });
  assert.equal(await one.send(), "job_1");
  assert.deepEqual(asked.map(({ method, bytes }) => [method, bytes]), [["HEAD", 0], ["PATCH", 5_000_000]]);
  assert.equal(kept.get("kinolog.uploads"), "[]", "what has ended is forgotten");
  const other = sending(film, [created, { status: 204 }], { pipeline: "video", priority: "low" });
  await other.one.send();
  assert.equal(other.asked[0].method, "POST");
});

test("what an earlier page began and the server no longer knows begins again", async () => {
  const kept = store();
  const film = { ...large, name: "old.mp4" };
  kept.set("kinolog.uploads", JSON.stringify([[JSON.stringify(["old.mp4", 20_000_000, 7, [["filename", "old.mp4"]]]), "tus_9"]]));
  const { one, asked } = sending(film, [404, created, { status: 204 }], {});
  assert.equal(await one.send(), "job_1");
  assert.deepEqual(asked.map(({ method }) => method), ["HEAD", "POST", "PATCH"]);
});

test("two files that look the same are two uploads, and the memory is bounded", async () => {
  const kept = store();
  const film = { ...large, name: "twin.mp4" };
  const first = sending(film, [created, "lost", "lost", "lost", "lost", "lost", "lost"]);
  const second = sending(film, [created, { status: 204 }]);
  await assert.rejects(first.one.send());
  await second.one.send();
  assert.equal(second.asked[0].method, "POST");
  for (let number = 0; number < 80; number += 1) {
    await sending({ ...large, name: `${number}.mp4` }, [created, 422]).one.send().catch(() => {});
  }
  assert.ok(JSON.parse(kept.get("kinolog.uploads")).length <= 50);
  kept.set("kinolog.uploads", "17");
  await sending({ ...large, name: "fresh.mp4" }, [created, { status: 204 }]).one.send();
});
