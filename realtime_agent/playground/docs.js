// Shows /openapi.json as a page.

import { curl, operations } from "./openapi.js";

const TIMEOUT_MS = 15_000;

async function load() {
  const status = document.getElementById("status");
  try {
    const response = await fetch("/openapi.json", { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    show(await response.json());
    status.remove();
  } catch (error) {
    status.textContent = `The description of the API could not be loaded: ${error.message}.`;
  }
}

function show(description) {
  const { title = "API", version = "", description: about = "" } = description.info ?? {};
  document.title = `${title} API`;
  document.getElementById("version").textContent = version;
  document.getElementById("about").textContent = about;
  const all = operations(description);
  document.getElementById("contents").replaceChildren(...all.map(contentsEntry));
  document.getElementById("operations").replaceChildren(...all.map(section));
}

function contentsEntry({ id, method, path }) {
  return build("li", "", [build("a", "", [verb(method), build("span", "path", [path])], { href: `#${id}` })]);
}

function section(operation) {
  const { id, method, path, summary, description, parameters, bodies, responses, upgrades } = operation;
  return build("section", "operation", [
    build("h2", "", [verb(method), build("span", "path", [path])]),
    summary && build("p", "summary", [summary]),
    description && description !== summary && build("p", "description", [description]),
    parameters.length > 0 && build("h3", "", ["Parameters"]),
    parameters.length > 0 && table(parameters.map((each) => ({ ...each, type: `${each.type}, in the ${each.place}` }))),
    bodies.length > 0 && build("h3", "", [bodies.length > 1 ? "Request body, one of" : "Request body"]),
    ...bodies.map((body) => shape(body, bodies.length > 1)),
    build("h3", "", ["Responses"]),
    build("ul", "responses", responses.map(answer)),
    !upgrades && build("h3", "", ["Example"]),
    !upgrades && snippet(curl(location.origin, operation)),
  ], { id });
}

function shape({ title, description, fields, type }, named) {
  const body = fields.length > 0 ? table(fields) : build("p", "description", [type]);
  if (!named) return body;
  return build("details", "", [build("summary", "", [title || type]), description && build("p", "description", [description]), body]);
}

function table(fields) {
  const rows = fields.map(({ name, required, type, limits, description, shapes = [] }) =>
    build("tr", "", [
      build("th", "", [build("code", "", [name]), required && build("span", "required", ["required"])], { scope: "row" }),
      build("td", "", [
        build("span", "type", [type]),
        ...limits.map((limit) => build("span", "limit", [limit])),
        description && build("p", "description", [description]),
        ...shapes.map((each) => shape(each, true)),
      ]),
    ]),
  );
  return build("table", "", [build("tbody", "", rows)]);
}

function answer({ status, description, variants }) {
  const heading = [build("code", `status s${status[0]}`, [status]), build("span", "", [description])];
  const shapes = variants.filter(({ fields }) => fields.length > 0);
  if (shapes.length === 0) return build("li", "", heading);
  const details = build("details", "", [build("summary", "", heading), ...shapes.map((each) => shape(each, shapes.length > 1))]);
  return build("li", "", [details]);
}

function snippet(text) {
  const code = build("code", "", [text]);
  const button = build("button", "copy", ["Copy"], { type: "button" });
  button.addEventListener("click", () => copy(code, button));
  return build("div", "snippet", [build("pre", "", [code], { tabindex: "0" }), button]);
}

/** Browsers let a page write to the clipboard only on https:// and localhost; elsewhere the text is selected. */
async function copy(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

function verb(method) {
  return build("span", `verb ${method.toLowerCase()}`, [method]);
}

/** An element; children that are false or empty are left out. */
function build(tag, className, children, attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter(Boolean));
  return element;
}

load();
