// The page's entry point: reads the token, follows the jobs live, and wires clicks and files to the modules.

import { Connection, ROOT } from "./connection.js";
import { notice, put } from "./dom.js";
import { JobView } from "./job.js";
import { JobsView, takeOldFilter } from "./jobs_view.js";
import { Kinolog, Problem, backoff_ms } from "./kinolog.js";
import { pageRouter } from "./navigation.js";
import { artifact, signer } from "./posters.js";
import { listenForFiles } from "./files.js";
import { listenForSearch } from "./search.js";
import { recall, remember } from "./storage.js";
import { UploadQueue } from "./uploads.js";
import { announcement, output, title } from "./words.js";

const TOKEN_KEY = "kinolog.token";
// A frozen server never responds.
const PATIENCE_MS = 10_000;
const CONNECTION_TEXT = { connecting: "Connecting…", live: "Live", lost: "Reconnecting…" };

const $ = (id) => document.getElementById(id);

/** The token from the link, or the one that this tab stores. It is removed from the URL. */
function takeToken() {
  const url = new URL(location.href);
  const fragment = new URLSearchParams(url.hash.slice(1));
  const linked = fragment.get("token") ?? url.searchParams.get("token");
  if (linked) {
    remember("sessionStorage", TOKEN_KEY, linked);
    url.searchParams.delete("token");
    if (fragment.has("token")) url.hash = "";
    history.replaceState(null, "", url.pathname + url.search + url.hash);
  }
  return linked || recall("sessionStorage", TOKEN_KEY);
}

// A link with a token that is pasted into an open page changes the hash only.
addEventListener("hashchange", () => location.hash.startsWith("#token=") && location.reload());

/** The caller as the server knows it: {owner, role}; null when it rejects the token. Waits for an unreachable server. */
async function whoAmI(call) {
  for (let tries = 0; ; tries += 1) {
    try {
      return (await call("GET", "/v1/me", undefined, { signal: AbortSignal.timeout(PATIENCE_MS) })).data;
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return null;
      showConnection("lost");
      await new Promise((resolve) => setTimeout(resolve, backoff_ms(tries, Math.random())));
    }
  }
}

async function start() {
  const token = takeToken();
  takeOldFilter();
  const kinolog = new Kinolog({ url: ROOT, token });
  const call = kinolog.call.bind(kinolog);
  const me = await whoAmI(call);
  if (me) follow(token, call, me);
  else rejected(token);
}

/** Asks for another token. */
function rejected(token) {
  remember("sessionStorage", TOKEN_KEY, "");
  askForToken(token ? "This token is not valid." : "");
}

function askForToken(message) {
  for (const id of ["page", "navigation", "connection", "caller"]) $(id).hidden = true;
  $("token-form").hidden = false;
  $("token-problem").textContent = message;
  $("token").focus();
}

function follow(token, call, me) {
  document.body.dataset.role = me.role;
  $("caller").textContent = `Signed in as ${me.owner ?? "operator"} (${me.role})`;
  $("caller").hidden = false;
  for (const id of ["page", "navigation"]) $(id).hidden = false;
  const sign = signer(call);
  const jobs = new JobsView({ call, sign, me, confirm, act: actions(call, sign, $("notice")) });
  const job = new JobView({ root: $("job-view"), call, sign, confirm, act: actions(call, sign, $("job-notice")) });
  const router = pageRouter({ call, sign, confirm, me });
  router.add("jobs", $("workspace"), jobs);
  router.add("job", $("job-view"), {
    show: (_params, id) => (notice($("job-notice"), ""), job.open(id)),
    hide: () => job.open(null),
    arrived: (frame) => job.arrived(frame),
  });
  router.start();
  const uploads = new UploadQueue({ root: $("uploads"), token });
  if (me.role !== "viewer") listenForFiles(uploads, call);
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
    cursor: () => jobs.state.cursor,
    onFrame: (frame) => {
      announce(frame, jobs.folded(frame));
      uploads.arrived(frame);
      router.arrived(frame);
    },
    onState: showConnection,
    mayReconnect: () => mayReconnect(call),
  }).start();
}

/** Asks a person; resolves to whether the answer is yes. */
function confirm(heading, text, yes, no = "Keep") {
  $("confirm-title").textContent = heading;
  $("confirm-text").textContent = text;
  $("confirm-yes").textContent = yes;
  $("confirm-no").textContent = no;
  $("confirm").returnValue = "no";
  $("confirm").showModal();
  return new Promise((resolve) => $("confirm").addEventListener("close", () => resolve($("confirm").returnValue === "yes"), { once: true }));
}

/** Whether the server accepts the token; an unreachable server has not rejected it. */
async function mayReconnect(call) {
  try {
    await call("GET", "/v1/me", undefined, { signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    if (!(error instanceof Problem && error.status === 401)) return true;
    rejected(true);
    return false;
  }
  return true;
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

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  if (remember("sessionStorage", TOKEN_KEY, token)) location.reload();
  else location.hash = `#${new URLSearchParams({ token })}`; // as by a link: the page is loaded again with it
});

start();
