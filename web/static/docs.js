// The page at /docs: renders /openapi.json. Everything is set as text, nothing as markup.

const METHODS = ["get", "post", "put", "patch", "delete"];

/** An element with attributes and children; a child that is null is left out. */
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.filter((child) => child != null));
  return node;
}

const nameOf = (ref) => ref.split("/").at(-1);

/** A schema in few words; a named one is a link to its table. */
function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return el("a", { href: `#type-${nameOf(schema.$ref)}` }, nameOf(schema.$ref));
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return el("span", {}, ...options.flatMap((option, n) => (n ? [" | ", kind(option)] : [kind(option)])));
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return el("span", {}, "list of ", kind(schema.items));
  return [schema.type ?? "any", schema.format && `(${schema.format})`].filter(Boolean).join(" ");
}

function table(head, rows) {
  if (!rows.length) return null;
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, cell ?? ""))));
  return el("table", {}, el("thead", {}, el("tr", {}, ...head.map((text) => el("th", {}, text)))), el("tbody", {}, ...body));
}

function contents(content) {
  const found = Object.entries(content ?? {});
  return el("span", {}, ...found.flatMap(([type, { schema }], n) => [n ? ", " : null, type, " ", kind(schema)]));
}

function operation(path, method, found) {
  const access = found.security?.length === 0 ? "public" : found["x-role"];
  const parameters = (found.parameters ?? []).map((each) => [
    el("code", {}, each.name), each.in, kind(each.schema), each.description,
  ]);
  const responses = Object.entries(found.responses)
    .filter(([, response]) => !response.$ref)
    .map(([status, response]) => [status, contents(response.content) ?? response.description]);
  const problems = Object.entries(found.responses).filter(([, response]) => response.$ref).map(([status]) => status);
  return el(
    "details", { id: found.operationId },
    el("summary", {}, el("code", {}, `${method.toUpperCase()} ${path}`), ` ${found.summary} `, el("span", { class: "role" }, `(${access})`)),
    found.description ? el("p", {}, found.description) : null,
    table(["Parameter", "In", "Type", "Description"], parameters),
    found.requestBody ? el("p", {}, "Body: ", contents(found.requestBody.content)) : null,
    table(["Status", "Response"], responses),
    problems.length ? el("p", {}, `Problems: ${problems.join(", ")}`) : null,
  );
}

function operations(api) {
  return api.tags.map(({ name }) => el(
    "section", { id: `tag-${name}` }, el("h2", {}, name),
    ...Object.entries(api.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]?.tags.includes(name)).map((method) => operation(path, method, item[method]))),
  ));
}

function type(name, schema) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([field, each]) => [
    el("code", {}, field), kind(each), required.has(field) ? "always" : "", each.description,
  ]);
  return el("details", { id: `type-${name}` }, el("summary", {}, el("code", {}, name), ` ${schema.description ?? ""}`),
    table(["Field", "Type", "Present", "Description"], rows));
}

function problems(codes) {
  const rows = Object.entries(codes).map(([code, meaning]) => [el("code", { id: code }, code), meaning]);
  return el("section", { id: "problems" }, el("h2", {}, "Problem codes"), table(["Code", "Meaning"], rows));
}

/** Opens and shows the section that the URL names. */
function go() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  target.closest("details")?.setAttribute("open", "");
  target.scrollIntoView();
}

const root = document.getElementById("docs");
try {
  const response = await fetch("openapi.json");
  const api = await response.json();
  root.append(
    el("p", {}, `${api.info.title} ${api.info.version}. ${api.info.description}`),
    ...operations(api),
    problems(api["x-problems"]),
    el("section", { id: "types" }, el("h2", {}, "Types"), ...Object.entries(api.components.schemas).map(([name, schema]) => type(name, schema))),
  );
} catch (error) {
  root.append(el("p", { class: "notice" }, `The API document could not be loaded: ${error.message}`));
}
root.setAttribute("aria-busy", "false");
addEventListener("hashchange", go);
go();
