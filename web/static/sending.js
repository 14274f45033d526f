// Sends a file: a small one in one request, a large one resumably (tus 1.0.0), so that a lost network costs no byte twice.

import { ROOT } from "./connection.js";
import { Problem, backoff_ms, pause } from "./kinolog.js";
import { fingerprint, keepPlace, placeOf } from "./upload_places.js";

// What takes seconds is sent again as a whole.
const LEAST_RESUMABLE_BYTES = 16_000_000;
// Tries in a row without a byte that arrived, after which a person is asked.
const MOST_TRIES = 6;
// A connection on which no byte has left for so long is dead: nothing says so, e.g. after a computer has slept.
const STALL_MS = 60_000;
// What another try may cure, besides errors of the server and of the network.
const CURABLE = new Set([404, 408, 409, 423, 429, 460]);
const UPLOADS = `${ROOT}v1/uploads`;
const TUS = { "Tus-Resumable": "1.0.0" };
const BYTES = { "Content-Type": "application/offset+octet-stream" };

// The server may close the connection of a file that is too large.
const LOST = "Upload failed: the connection was lost, or the file is too large.";

/**
 * One file on its way. `fields`: {pipeline, priority}, "" for the server's default; `key`: its idempotency key;
 * `onSent(bytes)` how many bytes are sent. `send()` may be repeated: it goes on where it was.
 */
export class Sending {
  // Ids of the resumable upload and of its job, and how many bytes the server is known to have.
  #place = null;
  #job_id = null;
  #arrived = 0;
  #isWhole;
  #tries = 0;
  #xhr = null;
  #isStopped = false;

  constructor({ file, fields, key, token, onSent, Request = globalThis.XMLHttpRequest, wait = pause }) {
    Object.assign(this, { file, key, token, onSent, Request, wait });
    this.fields = Object.entries({ filename: file.name, ...fields }).filter(([, value]) => value);
    this.#isWhole = file.size < LEAST_RESUMABLE_BYTES;
    this.print = fingerprint(file, this.fields);
    if (!this.#isWhole) this.#place = placeOf(this.print);
  }

  /** Sends the file; resolves to the id of its job. Rejects with a Problem, or an Error for people. */
  async send() {
    for (this.#tries = 1; ; this.#tries += 1) {
      const isWhole = this.#isWhole;
      try {
        return await (isWhole ? this.#sendWhole() : this.#sendRest());
      } catch (error) {
        // What takes seconds is sent again by a person only.
        if (isWhole || isFinal(error) || this.#tries >= MOST_TRIES) throw error;
      }
      await this.wait(backoff_ms(this.#tries - 1, Math.random()));
      if (this.#isStopped) throw new Error(LOST);
    }
  }

  /** Ends it for good; what the server has of it is deleted there. */
  stop() {
    this.#isStopped = true;
    this.#xhr?.abort();
    if (!this.#place) return;
    this.#ask("DELETE", this.#url, TUS).catch(() => {}); // it expires
    keepPlace(this.print, null);
  }

  async #sendWhole() {
    const headers = { "Content-Type": "application/octet-stream", "Idempotency-Key": this.key };
    const xhr = await this.#ask("POST", `${UPLOADS}?${new URLSearchParams(this.fields)}`, headers, this.file);
    return JSON.parse(xhr.responseText).data.job_id;
  }

  async #sendRest() {
    const isNew = !this.#place;
    if (isNew) await this.#create();
    else await this.#find();
    if (this.#arrived < this.file.size) await this.#append(isNew);
    keepPlace(this.print, null);
    return this.#job_id;
  }

  get #url() {
    return `${UPLOADS}/tus/${encodeURIComponent(this.#place)}`;
  }

  async #create() {
    const metadata = this.fields.map(([name, value]) => `${name} ${base64(value)}`).join(",");
    const xhr = await this.#ask("POST", `${UPLOADS}/tus`, { ...TUS, "Upload-Length": this.file.size, "Upload-Metadata": metadata });
    this.#place = xhr.getResponseHeader("Location").split("/").pop(); // the rest may be the public address
    keepPlace(this.print, this.#place);
    this.#job_id = xhr.getResponseHeader("Kinolog-Job-Id");
    this.#arrived = 0;
  }

  /** How many bytes the server has. An upload that has expired begins again. */
  async #find() {
    try {
      const xhr = await this.#ask("HEAD", this.#url, TUS);
      this.#job_id = xhr.getResponseHeader("Kinolog-Job-Id");
      const offset = Number(xhr.getResponseHeader("Upload-Offset"));
      if (offset > this.#arrived) this.#tries = 1;
      this.#arrived = offset;
    } catch (error) {
      if (error.status === 404) this.#place = null;
      throw error;
    }
  }

  async #append(isNew) {
    const headers = { ...TUS, ...BYTES, "Upload-Offset": this.#arrived };
    try {
      await this.#ask("PATCH", this.#url, headers, this.file.slice(this.#arrived), this.#arrived);
    } catch (error) {
      // Replicas that do not share their folder of uploads: each request may reach another one.
      if (isNew && error.status === 404) {
        this.#isWhole = true;
        keepPlace(this.print, null);
      }
      throw error;
    }
  }

  /** One request; `offset`: where the body begins in the file. */
  #ask(method, target, headers, body = null, offset = 0) {
    const xhr = (this.#xhr = new this.Request()); // fetch reports no upload progress
    xhr.open(method, target);
    const bearer = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    for (const [name, value] of Object.entries({ ...bearer, ...headers })) xhr.setRequestHeader(name, value);
    let stall = 0;
    const moved = () => {
      clearTimeout(stall);
      stall = setTimeout(() => xhr.abort(), STALL_MS);
    };
    // A body may be longer than what it carries.
    xhr.upload.onprogress = ({ loaded }) => (moved(), this.onSent(Math.min(offset + loaded, this.file.size)));
    xhr.upload.onload = () => clearTimeout(stall); // storing a large file takes its time
    moved();
    return new Promise((resolve, reject) => {
      xhr.onloadend = () => clearTimeout(stall);
      xhr.onload = () => (xhr.status < 300 ? resolve(xhr) : reject(new Problem(xhr.status, xhr.responseText)));
      xhr.onerror = xhr.onabort = () => reject(new Error(LOST));
      xhr.send(body);
    });
  }
}

/** Whether another try would fail the same way. A full disk stays full for longer than anybody waits. */
const isFinal = ({ status }) => status === 507 || (status >= 400 && status < 500 && !CURABLE.has(status));

/** UTF-8 in base64, as tus has it in Upload-Metadata. */
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
