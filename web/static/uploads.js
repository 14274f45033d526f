// Uploads: a row with progress for each file, a few at a time.

import { clone } from "./dom.js";
import { Sending } from "./sending.js";
import { choiceText, size } from "./words.js";

const AT_A_TIME = 2;
/** Rows that are listed at most. */
const MOST_UPLOADS = 1000;

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

  constructor({ root, token }) {
    Object.assign(this, { root, token });
    addEventListener("beforeunload", (event) => (this.#running.size || this.#waiting.length) && event.preventDefault());
  }

  /** Adds files with {pipeline, priority}, which they keep. Returns how many the list has no room for. */
  add(files, fields) {
    const added = [...files].slice(0, Math.max(0, MOST_UPLOADS - this.root.children.length));
    for (const file of added) this.#enqueue(this.#newRow(file, fields));
    return files.length - added.length;
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

  #newRow(file, fields) {
    const node = this.root.appendChild(clone("upload-template"));
    const [what, note, bar, again, drop] = node.children;
    const upload = { file, node, note, bar, again };
    const onSent = (bytes) => showSent(upload, bytes, file.size);
    upload.sending = new Sending({ file, fields, key: idempotencyKey(), token: this.token, onSent });
    what.firstElementChild.textContent = file.name;
    what.lastElementChild.textContent = choiceText(fields);
    bar.ariaLabel = `Upload of ${file.name}`;
    again.ariaLabel = `Try again: ${file.name}`;
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

  async #start(upload) {
    this.#running.add(upload);
    setStatus(upload, "sending", "0 %");
    try {
      this.#isSent(upload, await upload.sending.send());
    } catch (error) {
      fail(upload, error.message);
    }
    this.#finish(upload);
  }

  #isSent(upload, job_id) {
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
    upload.sending.stop();
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
