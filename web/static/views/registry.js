// The views of the page. Each is a module of its own, loaded when it is first shown:
//
//   export function createView(page) { return { show(params, id), hide(), arrived(frame) }; }
//
// `page`: {root, call, sign, confirm, me} (see app.js). The view builds its DOM in `page.root`, an empty
// <section>. `show` is called when the URL names the view, again when its parameters or its id change, and may be async;
// `hide` when the page leaves it: it must stop timers and requests; `arrived` with every live frame while it is shown
// ("snapshot" means that frames were missed). Only `createView` and `show` are required.

/**
 * Name in the URL -> {title, load, nav?, role?, styles?}. `nav`: shown in the navigation, in this order; `role`: "admin" for a
 * view that others are refused; `styles`: style sheets below static/.
 */
export const VIEWS = {
  overview: { title: "Overview", nav: true, load: () => import("./overview.js") },
  jobs: { title: "Jobs", nav: true },
  job: { title: "Job", parent: "jobs" },
  asset: { title: "Recording", parent: "jobs", load: () => import("./asset.js"), styles: ["views/asset.css"] },
  search: { title: "Search", nav: true, load: () => import("./search.js"), styles: ["views/search.css"] },
  executors: { title: "Executors", nav: true, load: () => import("./executors.js") },
  queues: { title: "Queues", nav: true, load: () => import("./queues.js") },
  cache: { title: "Cache", nav: true, load: () => import("./cache.js") },
  "dead-letters": { title: "Dead letters", nav: true, role: "admin", load: () => import("./dead-letters.js") },
  audit: { title: "Audit", nav: true, role: "admin", load: () => import("./audit.js") },
  tokens: { title: "Tokens", nav: true, role: "admin", load: () => import("./tokens.js") },
};
