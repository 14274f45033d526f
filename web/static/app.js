// The page: takes the token, follows the jobs live, and hands clicks and files to their parts.

import { Connection } from "./connection.js";
import { put } from "./dom.js";
import { JobList } from "./jobs.js";
import { Kinolog, Problem } from "./kinolog.js";
import { addListed, announcement, emptyState, fold, output, title } from "./live.js";
import { artifact, signer } from "./posters.js";
import { listenForSearch } from "./search.js";
import { UploadQueue } from "./uploads.js";

const TOKEN_KEY = "kinolog.token";
const MATCHES = 200;
// Typing goes on for a while: the server is asked when it pauses.
const SEARCH_PAUSE_MS = 300;
const CONNECTION_TEXT = { connecting: "Connecting…", live: "Live", lost: "Reconnecting…" };

const $ = (id) => document.getElementById(id);

/** The token that the link carried, once, or that this tab keeps. The address is left without it. */
function takeToken() {
  const url = new URL(location.href);
  const fragment = new URLSearchParams(url.hash.slice(1));
  const given = fragment.get("token") ?? url.searchParams.get("token");
  if (given) {
    sessionStorage.setItem(TOKEN_KEY, given);
    url.searchParams.delete("token");
    if (fragment.has("token")) url.hash = "";
    history.replaceState(null, "", url.pathname + url.search + url.hash);
  }
  return sessionStorage.getItem(TOKEN_KEY) ?? "";
}

/** Whether the server takes the token; one that cannot be reached has not refused it. */
async function isWelcome(call) {
  try {
    await call("GET", "/v1/jobs?limit=1");
    return true;
  } catch (error) {
    return !(error instanceof Problem && error.status === 401);
  }
}

async function start() {
  const token = takeToken();
  const kinolog = new Kinolog({ token });
  const call = kinolog.call.bind(kinolog);
  if (!token && !(await isWelcome(call))) return askForToken("");
  follow(token, call);
}

function askForToken(message) {
  $("workspace").hidden = true;
  $("connection").hidden = true;
  $("token-form").hidden = false;
  $("token-problem").textContent = message;
  $("token").focus();
}

function follow(token, call) {
  const state = emptyState();
  const sign = signer(call);
  const load = loader(state, call, (changes) => list.loaded(changes));
  const list = new JobList({ state, root: $("jobs"), sign, act: actions(call, sign), loadOlder: load.older });
  const uploads = new UploadQueue({
    root: $("uploads"),
    token,
    isKnown: (job_id) => state.jobs.has(job_id),
    problem: (status, text) => new Problem(status, text),
  });
  listenForFiles(uploads);
  listenForFilter(list, load.matching);
  listenForSearch({
    form: $("speech-form"),
    field: $("speech"),
    note: $("speech-note"),
    list: $("passages"),
    call,
    play: (hit) => openPassage(hit, sign),
  });
  $("workspace").hidden = false;
  new Connection({
    token,
    cursor: () => state.cursor,
    onFrame: (frame) => show(fold(state, frame), frame.type, list, uploads),
    onState: showConnection,
    mayGoOn: () => mayGoOn(call),
  }).start();
}

/** Loads jobs that the snapshot had no room for: the next older ones, or those that match a text. */
function loader(state, call, loaded) {
  async function load(query, onward) {
    try {
      const { data, next_cursor } = await call("GET", `/v1/jobs?${new URLSearchParams(query)}`);
      onward(next_cursor);
      loaded(addListed(state, data));
    } catch (error) {
      notice(`Older jobs cannot be loaded now: ${error.message}`);
    }
  }
  return {
    older: () => load(state.older, (cursor) => (state.older = cursor ? { ...state.older, cursor } : null)),
    matching: (text) => state.older && text && load({ q: text, limit: MATCHES }, () => {}),
  };
}

async function mayGoOn(call) {
  const welcome = await isWelcome(call);
  if (!welcome) {
    sessionStorage.removeItem(TOKEN_KEY);
    askForToken("The server does not take this token.");
  }
  return welcome;
}

function show(changes, frameType, list, uploads) {
  list.changed(changes);
  for (const { id } of changes) uploads.arrived(id);
  if (frameType !== "job") return; // a snapshot would read out the whole list
  const said = changes.map(announcement).filter(Boolean).join(". ");
  if (said) $("announcer").textContent = said;
}

function showConnection(state) {
  put($("connection").dataset, "state", state);
  put($("connection"), "textContent", CONNECTION_TEXT[state]);
}

function actions(call, sign) {
  const command = (action) => (job) => call("POST", `/v1/jobs/${encodeURIComponent(job.id)}/${action}`);
  const run = { cancel: command("cancel"), retry: command("retry"), play: (job) => openPlayer(job, sign) };
  return async function act(action, job, button) {
    button.ariaDisabled = String(action !== "play"); // until the job's next frame
    notice("");
    try {
      await run[action](job);
    } catch (error) {
      button.ariaDisabled = "false";
      notice(`${title(job)}: ${error.message}`);
    }
  };
}

async function openPlayer(job, sign) {
  const { play } = await import("./player.js");
  const addresses = async () => {
    const signed = await sign(job.asset_id);
    return { master_url: artifact(signed, output(job, "master")), poster_url: artifact(signed, output(job, "poster")) };
  };
  await play(title(job), addresses());
}

async function openPassage({ asset_id, filename, start_ms }, sign) {
  const { play } = await import("./player.js");
  await play(filename ?? asset_id, sign.anew(asset_id), start_ms / 1000);
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
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

function listenForFilter(list, loadMatching) {
  let pause;
  const refresh = () => list.filter($("filter").querySelector(":checked").value, $("search").value);
  $("filter").addEventListener("change", refresh);
  $("search").addEventListener("input", () => {
    refresh();
    clearTimeout(pause);
    pause = setTimeout(() => loadMatching($("search").value.trim()), SEARCH_PAUSE_MS);
  });
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN_KEY, $("token").value.trim());
  location.reload();
});

start();
