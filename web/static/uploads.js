// Uploads: a row with progress for each file, a few at a time.

import { clone } from "./dom.js";

const AT_A_TIME = 2;

/** A new idempotency key: a repeated upload starts no second job. */
function idempotencyKey() {
  // randomUUID exists on https and localhost only.
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The uploads in the list `root`; a row is removed when its job appears in a live frame passed to `arrived`. */
export class UploadQueue {
  #waiting = [];
  #running = new Set();
  #sent = new Map();
  // Ids of live jobs, while uploads run: a job's frame may arrive before the response to its upload.
  #early = new Set();

  constructor({ root, token, problem }) {
    Object.assign(this, { root, token, problem });
    addEventListener("beforeunload", (event) => this.#running.size && event.preventDefault());
  }

  add(files) {
    for (const file of files) this.#enqueue(this.#newRow(file));
  }

  arrived({ job, jobs = [] }) {
    for (const { id } of job ? [job] : jobs) {
      if (this.#sent.has(id)) this.#done(id);
      else if (this.#running.size) this.#early.add(id);
    }
  }

  #done(job_id) {
    this.#sent.get(job_id).node.remove();
    this.#sent.delete(job_id);
  }

  #newRow(file) {
    const node = this.root.appendChild(clone("upload-template"));
    const [name, note, bar, again, drop] = node.children;
    const upload = { file, node, note, bar, again, key: idempotencyKey(), xhr: null };
    name.textContent = file.name;
    bar.ariaLabel = `Upload of ${file.name}`;
    drop.ariaLabel = `Remove ${file.name} from the uploads`;
    again.addEventListener("click", () => this.#enqueue(upload));
    drop.addEventListener("click", () => this.#remove(upload));
    return upload;
  }

  #enqueue(upload) {
    setStatus(upload, "waiting", "waiting");
    this.#waiting.push(upload);
    this.#startNext();
  }

  #startNext() {
    while (this.#running.size < AT_A_TIME && this.#waiting.length) this.#start(this.#waiting.shift());
  }

  #start(upload) {
    this.#running.add(upload);
    const xhr = (upload.xhr = this.#request(upload));
    xhr.upload.onprogress = ({ loaded, total }) => showSent(upload, loaded, total);
    xhr.onload = () => this.#onResponse(upload, xhr);
    xhr.onerror = () => fail(upload, "Upload failed: the connection was lost, or the file is too large.");
    xhr.onloadend = () => this.#finish(upload);
    setStatus(upload, "sending", "0 %");
    xhr.send(upload.file);
  }

  #request({ file, key }) {
    const xhr = new XMLHttpRequest(); // fetch reports no upload progress
    xhr.open("POST", `/v1/uploads?filename=${encodeURIComponent(file.name)}`);
    xhr.setRequestHeader("Content-Type", "application/octet-stream");
    xhr.setRequestHeader("Idempotency-Key", key);
    if (this.token) xhr.setRequestHeader("Authorization", `Bearer ${this.token}`);
    return xhr;
  }

  #onResponse(upload, xhr) {
    if (xhr.status !== 201) return fail(upload, this.problem(xhr.status, xhr.responseText).message);
    const { job_id } = JSON.parse(xhr.responseText).data;
    this.#sent.set(job_id, upload);
    upload.bar.value = 100;
    setStatus(upload, "sent", "uploaded");
    if (this.#early.has(job_id)) this.#done(job_id);
  }

  #finish(upload) {
    this.#running.delete(upload);
    if (!this.#running.size) this.#early.clear();
    this.#startNext();
  }

  #remove(upload) {
    this.#waiting = this.#waiting.filter((other) => other !== upload);
    upload.xhr?.abort();
    upload.node.remove();
  }
}

function showSent(upload, loaded, total) {
  const percent = total ? (100 * loaded) / total : 100;
  upload.bar.value = percent;
  setStatus(upload, "sending", loaded < total ? `${Math.floor(percent)} % of ${size(total)}` : "finishing");
}

function fail(upload, message) {
  upload.bar.value = 0;
  setStatus(upload, "failed", message);
}

function setStatus(upload, status, text) {
  upload.node.dataset.status = status;
  upload.note.textContent = text;
  upload.again.hidden = status !== "failed";
}

/** A size for people, e.g. "1.2 GB". */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** power;
  return `${power && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}
