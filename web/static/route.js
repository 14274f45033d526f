// The page's URLs behind the "#": which view they name, of which thing, with which parameters. Pure.

/** The view of an empty hash. */
export const HOME = "jobs";

/**
 * Parses a hash to {view, id, params}: "#/jobs?status=failed" -> {view: "jobs", id: null, params: {status: "failed"}},
 * "#/asset/ID" -> {view: "asset", id: "ID", params: {}}. "#job_ID" is the older form of "#/job/job_ID".
 */
export function parseRoute(hash) {
  const text = hash.replace(/^#\/?/, "");
  if (text.startsWith("job_")) return { view: "job", id: text, params: {} };
  const [, path, query] = text.match(/^([^?]*)\??(.*)$/s);
  const [view, ...rest] = path.split("/");
  const id = rest.length && rest.join("/") ? decoded(rest.join("/")) : null;
  return { view: view || HOME, id, params: Object.fromEntries(new URLSearchParams(query)) };
}

/** The hash of a route; parameters without a value are left out. */
export function routeHash(view, id = null, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value != null && value !== "");
  const query = given.length ? `?${new URLSearchParams(given)}` : "";
  if (view === "job") return `#${id}`;
  return `#/${view}${id == null ? "" : `/${encodeURIComponent(id)}`}${query}`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a "%" that a person typed
  }
}
