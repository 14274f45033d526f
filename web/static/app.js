// The page's entry point: reads the token, follows the jobs live, and wires clicks and files to the modules.

import { Connection, ROOT } from "./connection.js";
import { notice, put } from "./dom.js";
import { JobView } from "./job.js";
import { JobList } from "./jobs.js";
import { Kinolog, Problem } from "./kinolog.js";
import { PAGE_JOBS, choose, counts, emptyState, fold, isFilter } from "./live.js";
import { Counter, Pages } from "./loading.js";
import { pageRouter } from "./navigation.js";
import { artifact, signer } from "./posters.js";
import { listenForSearch } from "./search.js";
import { UploadQueue } from "./uploads.js";
import { announcement, group, output, title } from "./words.js";

const TOKEN_KEY = "kinolog.token";
// Longest search text that the server accepts.
const MAX_CHARS = 200;
// Pause in typing after which the search is sent.
const SEARCH_PAUSE_MS = 300;
const CONNECTION_TEXT = { connecting: "Connecting…", live: "Live", lost: "Reconnecting…" };

const $ = (id) => document.getElementById(id);

/** The token from the link, or the one that this tab stores. It is removed from the URL. */
function takeToken() {
  const url = new URL(location.href);
  const fragment = new URLSearchParams(url.hash.slice(1));
  const linked = fragment.get("token") ?? url.searchParams.get("token");
  if (linked) {
    sessionStorage.setItem(TOKEN_KEY, linked);
    url.searchParams.delete("token");
    if (fragment.has("token")) url.hash = "";
    history.replaceState(null, "", url.pathname + url.search + url.hash);
  }
  return sessionStorage.getItem(TOKEN_KEY) ?? "";
}

// A link with a token that is pasted into an open page changes the hash only.
addEventListener("hashchange", () => location.hash.startsWith("#token=") && location.reload());

/** Whether the server accepts the token; an unreachable server has not rejected it. */
async function isAccepted(call) {
  try {
    await call("GET", "/v1/jobs?limit=1");
    return true;
  } catch (error) {
    return !(error instanceof Problem && error.status === 401);
  }
}

async function start() {
  const token = takeToken();
  const kinolog = new Kinolog({ url: ROOT, token });
  const call = kinolog.call.bind(kinolog);
  if (!token && !(await isAccepted(call))) return askForToken("");
  follow(token, call);
}

function askForToken(message) {
  for (const id of ["page", "navigation", "connection"]) $(id).hidden = true;
  $("token-form").hidden = false;
  $("token-problem").textContent = message;
  $("token").focus();
}

function follow(token, call) {
  for (const id of ["page", "navigation"]) $(id).hidden = false;
  const state = emptyState(...filterFromUrl());
  const sign = signer(call);
  const counter = new Counter({ call, onCounts: (found) => list.counted(counts(found)) });
  const pages = new Pages({ state, call, onChanges: (changes) => list.loaded(changes), onProblem: showLoading });
  const more = () => {
    state.limit += PAGE_JOBS;
    list.loaded([]);
    pages.load();
  };
  const list = new JobList({ state, root: $("jobs"), sign, act: actions(call, sign, $("notice")), more });
  const job = new JobView({ root: $("job-view"), call, sign, confirm, act: actions(call, sign, $("job-notice")) });
  const router = pageRouter({ call, sign, confirm });
  router.add("jobs", $("workspace"), { show() {} });
  router.add("job", $("job-view"), {
    show: (_params, id) => (notice($("job-notice"), ""), job.open(id)),
    hide: () => job.open(null),
    arrived: (frame) => job.arrived(frame),
  });
  router.start();
  const uploads = new UploadQueue({ root: $("uploads"), token, problem: (status, text) => new Problem(status, text) });
  listenForFiles(uploads);
  listenForFilter(state, list, pages);
  listenForSearch({
    form: $("speech-form"),
    field: $("speech"),
    note: $("speech-note"),
    list: $("passages"),
    call,
    play: (hit) => openPassage(hit, sign),
  });
  new Connection({
    token,
    cursor: () => state.cursor,
    onFrame: (frame) => {
      const changes = fold(state, frame);
      list.changed(changes);
      uploads.arrived(frame);
      router.arrived(frame);
      announce(frame, changes);
      if (mayCountDifferently(frame, changes)) counter.changed();
      if (frame.type === "snapshot" && frame.last !== false) pages.load();
      else pages.refill();
    },
    onState: showConnection,
    mayReconnect: () => mayReconnect(call),
  }).start();
}

/** Whether a frame may change the counts; one of a job that is not listed may. */
function mayCountDifferently({ type, job }, changes) {
  if (type !== "job") return type === "snapshot" || type === "deleted";
  const { before, after } = changes.find(({ id }) => id === job.id) ?? {};
  return !before || !after || group(before) !== group(after);
}

/** Asks a person; resolves to whether the answer is yes. */
function confirm(heading, text, yes) {
  $("confirm-title").textContent = heading;
  $("confirm-text").textContent = text;
  $("confirm-yes").textContent = yes;
  $("confirm").returnValue = "no";
  $("confirm").showModal();
  return new Promise((resolve) => $("confirm").addEventListener("close", () => resolve($("confirm").returnValue === "yes"), { once: true }));
}

const showLoading = (error) => notice($("notice"), error ? `Jobs could not be loaded: ${error.message}` : "");

async function mayReconnect(call) {
  const accepted = await isAccepted(call);
  if (!accepted) {
    sessionStorage.removeItem(TOKEN_KEY);
    askForToken("This token is not valid.");
  }
  return accepted;
}

function announce({ type }, changes) {
  if (type !== "job") return;
  const text = changes.map(announcement).filter(Boolean).join(". ");
  if (text) $("announcer").textContent = text;
}

function showConnection(state) {
  put($("connection").dataset, "state", state);
  put($("connection"), "textContent", CONNECTION_TEXT[state]);
}

/** The commands of a job's buttons; their errors are shown in `place`. */
function actions(call, sign, place) {
  const command = (action) => (job) => call("POST", `/v1/jobs/${encodeURIComponent(job.id)}/${action}`);
  const remove = (job) => call("DELETE", `/v1/jobs/${encodeURIComponent(job.id)}`);
  const run = { cancel: command("cancel"), retry: command("retry"), delete: remove, play: (job) => openPlayer(job, sign) };
  return async function act(action, job, button) {
    button.ariaDisabled = String(action !== "play"); // until the job's next frame
    notice(place, "");
    try {
      await run[action](job);
    } catch (error) {
      button.ariaDisabled = "false";
      notice(place, `${title(job)}: ${error.message}`);
    }
  };
}

async function openPlayer(job, sign) {
  const { play } = await import("./player.js");
  const urls = async () => {
    const signed = await sign(job.asset_id);
    return { master_url: artifact(signed, output(job, "master")), poster_url: artifact(signed, output(job, "poster")) };
  };
  await play(title(job), urls());
}

async function openPassage({ asset_id, filename, start_ms }, sign) {
  const { play } = await import("./player.js");
  await play(filename ?? asset_id, sign.refresh(asset_id), start_ms / 1000);
}

function listenForFiles(uploads) {
  $("picker").addEventListener("change", ({ target }) => {
    uploads.add(target.files);
    target.value = ""; // the same file may be chosen again
  });
  let depth = 0; // dragenter of a child comes before dragleave of its parent
  const mark = (change) => document.body.classList.toggle("dragging", (depth = change) > 0);
  addEventListener("dragenter", (event) => hasFiles(event) && mark(depth + 1));
  addEventListener("dragleave", (event) => hasFiles(event) && mark(Math.max(0, depth - 1)));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(0);
    uploads.add(event.dataTransfer.files);
  });
}

const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");

/** Filter and search text of the URL. */
function filterFromUrl() {
  const query = new URL(location.href).searchParams;
  const show = isFilter(query.get("show")) ? query.get("show") : "all";
  return [show, (query.get("q") ?? "").slice(0, MAX_CHARS)];
}

/** Writes filter and search text to the URL, for reloads and links. */
function writeToUrl(show, text) {
  const url = new URL(location.href);
  const set = (name, value) => (value ? url.searchParams.set(name, value) : url.searchParams.delete(name));
  set("show", show === "all" ? "" : show);
  set("q", text.trim());
  history.replaceState(null, "", url);
}

function listenForFilter(state, list, pages) {
  const refresh = (wait_ms) => {
    const show = $("filter").querySelector(":checked").value;
    list.loaded(choose(state, show, $("search").value));
    writeToUrl(show, state.text);
    pages.load(wait_ms);
  };
  $("filter").querySelector(`[value=${state.show}]`).checked = true;
  $("search").value = state.text;
  $("filter").addEventListener("change", () => refresh(0));
  $("search").addEventListener("input", () => refresh(SEARCH_PAUSE_MS));
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN_KEY, $("token").value.trim());
  location.reload();
});

start();
