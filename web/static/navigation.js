// The page around the views: the navigation in the masthead, the views' roots, and the title.

import { ROOT } from "./connection.js";
import { build, notice } from "./dom.js";
import { routeHash } from "./route.js";
import { Router } from "./router.js";
import { VIEWS } from "./views/registry.js";

const $ = (id) => document.getElementById(id);

/** The router over the views of the registry; `page`: what each of them may use. Draws the navigation. */
export function pageRouter(page) {
  const views = Object.fromEntries(Object.entries(VIEWS).filter(([, { role }]) => !role || role === page.me.role));
  $("navigation").replaceChildren(...navigation(views));
  return new Router({
    views,
    mount,
    create: (module, root) => module.createView({ ...page, root }),
    onRoute: (name, root, top_px) => showRoute(name, root, top_px),
    onProblem: (message) => notice($("route-problem"), message),
  });
}

/** The root of a view, and its style sheets. */
async function mount(name, { title: label, styles = [] }) {
  const root = build("section", { id: `view-${name}`, className: "view", tabIndex: -1, ariaLabel: label, hidden: true });
  $("views").append(root);
  await Promise.all(styles.map(addStyles));
  return root;
}

/** Resolves once the style sheet is in force; without it a view would jump. */
function addStyles(path) {
  const link = build("link", { rel: "stylesheet", href: `${ROOT}static/${path}` });
  document.head.append(link);
  return new Promise((resolve, reject) => {
    link.onload = resolve;
    link.onerror = () => reject(new Error("This page could not be loaded. Reload it."));
  });
}

function navigation(views) {
  const shown = Object.entries(views).filter(([, { nav }]) => nav);
  return shown.map(([name, { title: label }]) =>
    build("li", {}, build("a", { href: routeHash(name), dataset: { view: name } }, label)),
  );
}

/** Marks the view in the navigation, and moves the keyboard's focus to it unless the page has just been opened. */
function showRoute(name, root, top_px) {
  const { title: label, parent } = VIEWS[name];
  for (const link of $("navigation").querySelectorAll("a")) {
    if (link.dataset.view === name) markCurrent(link);
    else if (link.dataset.view === parent) link.ariaCurrent = "true";
    else link.removeAttribute("aria-current");
  }
  document.title = name === "jobs" ? "kinolog" : `${label} · kinolog`;
  scrollTo(0, top_px);
  if (isOpened) root.focus({ preventScroll: true });
  isOpened = true;
}

/** On a phone the navigation is wider than the screen. */
function markCurrent(link) {
  link.ariaCurrent = "page";
  link.scrollIntoView({ block: "nearest", inline: "nearest" });
}

let isOpened = false;
