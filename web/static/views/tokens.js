// API tokens: create, list, revoke. For admins.

import { build } from "../dom.js";
import { age } from "../words.js";
import { action, tableView } from "./table_view.js";

const ROLES = { viewer: "Viewer: reads", editor: "Editor: submits, cancels, deletes", admin: "Admin: everything, of everybody" };
const TTLS_S = { 86400: "a day", 2592000: "30 days", 31536000: "a year", "": "until revoked" };

export function createView({ root, call, confirm }) {
  const created = build("div", { className: "created", role: "status" });
  const form = newToken(async (body) => {
    const { data } = await call("POST", "/v1/tokens", body);
    created.replaceChildren(...shownOnce(data));
    await view.now();
  });
  const view = tableView({
    root, title: "Tokens", key: ({ id }) => id, above: [form, created], columns,
    fetch: async () => (await call("GET", "/v1/tokens")).data,
    act: async (_action, { id, label, owner }) => {
      const text = "Whoever uses it is refused at once, and its live connections are closed. This cannot be undone.";
      if (await confirm(`Revoke the token ${label ?? owner ?? id}?`, text, "Revoke it")) await call("DELETE", `/v1/tokens/${encodeURIComponent(id)}`);
    },
    empty: build("p", {}, "No tokens have been created. Tokens of the settings are not listed."),
  });
  return { ...view, hide: () => (created.replaceChildren(), view.hide()) };
}

/** The form; `create(body)` may throw. */
function newToken(create) {
  const field = (label, control) => build("label", { className: "form-field" }, build("span", {}, label), control);
  const select = (name, options) => build("select", { name }, Object.entries(options).map(([value, text]) => build("option", { value }, text)));
  const problem = build("p", { className: "problem", role: "alert" });
  const button = build("button", { type: "submit", className: "button primary" }, "Create token");
  const form = build("form", { className: "panel form" },
    field("Owner", build("input", { type: "text", name: "owner", maxLength: 200, autocomplete: "off" })), field("Role", select("role", ROLES)),
    field("Label", build("input", { type: "text", name: "label", maxLength: 200, autocomplete: "off" })), field("Valid for", select("ttl", TTLS_S)), button, problem);
  form.ttl.value = "2592000";
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.ariaDisabled = "true";
    const { owner, role, label, ttl } = Object.fromEntries(new FormData(form));
    try {
      await create({ role, owner: owner.trim() || null, label: label.trim() || null, ttl_s: ttl ? Number(ttl) : null });
      form.owner.value = form.label.value = "";
      problem.textContent = "";
    } catch (error) {
      problem.textContent = error.message;
    }
    button.ariaDisabled = "false";
  });
  return form;
}

function shownOnce({ token, label, owner, role }) {
  const copy = build("button", { type: "button", className: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(token);
    copy.textContent = "Copied";
  });
  return [build("p", { className: "notice good" }, `The ${role} token ${label ?? owner ?? ""} is shown only this once: `, build("code", {}, token), " ", navigator.clipboard ? copy : "")];
}

const columns = [
  { label: "Owner", cell: ({ owner }) => owner ?? "(operator)" },
  { label: "Role", cell: ({ role }) => role },
  { label: "Label", cell: ({ label }) => label ?? "" },
  { label: "Created", cell: ({ created_at, created_by }) => `${age(created_at, Date.now())}${created_by ? ` by ${created_by}` : ""}` },
  { label: "Expires", cell: ({ expires_at }) => (expires_at ? new Date(expires_at).toLocaleDateString() : "never") },
  { label: "State", cell: ({ good, revoked_at }) => build("span", { className: "badge", dataset: { status: good ? "active" : "" } }, good ? "Valid" : revoked_at ? "Revoked" : "Expired") },
  { label: "Actions", isAction: true, cell: ({ id, good, label, owner }) => (good ? action("revoke", "Revoke", `Revoke the token ${label ?? owner ?? id}`, "danger") : "") },
];
