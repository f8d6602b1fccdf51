// Reads an OpenAPI 3.1 document: what operations there are, what they take and give, and how curl would ask. No I/O.

const METHODS = ["get", "post", "put", "patch", "delete"];
const MAX_DEPTH = 8; // of nested schemas; a schema may hold itself

/**
 * @typedef {{name: string, required: boolean, type: string, limits: string[], description: string, shapes: Shape[]}} Field
 * @typedef {{title: string, description: string, type: string, fields: Field[]}} Shape  one form that a value may take
 */

/** @returns {{method, path, id, summary, description, parameters, bodies, example, streams, upgrades, responses}[]} */
export function operations(document) {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => operation(document, path, method, item)),
  );
}

function operation(document, path, method, item) {
  const { summary = "", description = "", operationId, requestBody, responses = {}, parameters = [] } = item[method];
  const content = media(resolve(document, requestBody));
  return {
    method: method.toUpperCase(),
    path,
    id: operationId ?? `${method}-${path.replace(/\W+/g, "-")}`,
    summary,
    description,
    parameters: [...(item.parameters ?? []), ...parameters].map((each) => parameter(document, each)),
    bodies: content.schema ? variants(document, content.schema) : [],
    example: content.schema ? (firstExample(content) ?? example(document, content.schema)) : undefined,
    upgrades: "101" in responses, // to a websocket: nothing for curl
    streams: Object.values(responses).some((each) => "text/event-stream" in (resolve(document, each).content ?? {})),
    responses: Object.entries(responses).map(([status, each]) => response(document, status, each)),
  };
}

function parameter(document, reference) {
  const { name, in: place, required = false, description, schema = {} } = resolve(document, reference);
  return { ...field(document, name, { description, ...schema }, required), place, example: example(document, schema, name) };
}

function response(document, status, reference) {
  const answer = resolve(document, reference);
  const { schema } = media(answer);
  return { status, description: answer.description ?? "", variants: schema ? variants(document, schema) : [] };
}

function media({ content = {} } = {}) {
  return content["application/json"] ?? Object.values(content)[0] ?? {};
}

/** The shapes a schema may take, each as {title, description, fields}: several where it is a choice of objects. */
export function variants(document, schema, depth = 0) {
  const whole = merged(document, schema);
  const choices = (whole.oneOf ?? whole.anyOf ?? []).filter((each) => resolve(document, each).type !== "null");
  if (choices.length > 0 && depth < MAX_DEPTH) return choices.flatMap((each) => variants(document, each, depth + 1));
  const { properties = {}, required = [], description = "" } = whole;
  const fields = Object.entries(properties).map(([name, each]) => field(document, name, each, required.includes(name), depth + 1));
  return [{ title: kindOf(whole), description, fields, type: typeName(document, whole) }];
}

/** What tells a shape from its alternatives: the constant that marks it, else its name. */
function kindOf({ properties = {}, title = "" }) {
  return Object.values(properties).find((each) => typeof each.const === "string")?.const ?? title;
}

function field(document, name, schema, required, depth = 0) {
  const whole = merged(document, schema);
  const choices = (whole.oneOf ?? whole.anyOf ?? []).map((each) => merged(document, each));
  const description = whole.description ?? choices.find((each) => each.description)?.description ?? "";
  const held = whole.items ?? schema;
  const shapes = depth < MAX_DEPTH ? variants(document, held, depth + 1).filter(({ fields }) => fields.length > 0) : [];
  return { name, required, type: typeName(document, schema), limits: limits(document, schema), description, shapes };
}

/** A schema's type as a reader would say it: "integer", "list of string", "string or null". */
export function typeName(document, schema, depth = 0) {
  const whole = merged(document, schema);
  const choices = whole.oneOf ?? whole.anyOf;
  if (choices && depth < MAX_DEPTH) return [...new Set(choices.map((each) => typeName(document, each, depth + 1)))].join(" or ");
  if (Array.isArray(whole.type)) return whole.type.join(" or ");
  if (whole.type === "array") return whole.items && depth < MAX_DEPTH ? `list of ${typeName(document, whole.items, depth + 1)}` : "list";
  if (whole.type) return whole.type;
  if (whole.properties) return "object";
  const values = whole.enum ?? ("const" in whole ? [whole.const] : []);
  return values.length > 0 ? [...new Set(values.map((value) => (value === null ? "null" : typeof value)))].join(" or ") : "any";
}

/** What a value must keep to, each as a short text. */
export function limits(document, schema) {
  const whole = merged(document, schema);
  const said = [];
  const choices = whole.oneOf ?? whole.anyOf ?? [];
  for (const choice of choices) said.push(...limits(document, choice));
  if ("const" in whole) said.push(`always ${JSON.stringify(whole.const)}`);
  if (whole.enum) said.push(`one of ${whole.enum.map((value) => JSON.stringify(value)).join(", ")}`);
  said.push(...span("", whole.minimum, whole.maximum), ...span(" long", whole.minLength, whole.maxLength), ...span(" items", whole.minItems, whole.maxItems));
  if (whole.exclusiveMinimum !== undefined) said.push(`more than ${whole.exclusiveMinimum}`);
  if (whole.exclusiveMaximum !== undefined) said.push(`less than ${whole.exclusiveMaximum}`);
  if (whole.pattern) said.push(`matches ${whole.pattern}`);
  if (!("const" in whole) && !["undefined", "object"].includes(typeof whole.default)) said.push(`default ${JSON.stringify(whole.default)}`);
  return said;
}

function span(unit, least, most) {
  if (least !== undefined && most !== undefined) return [`${least} to ${most}${unit}`];
  if (least !== undefined) return [`at least ${least}${unit}`];
  return most === undefined ? [] : [`at most ${most}${unit}`];
}

/** A value that the schema would take: its own example where it has one, else the required fields alone. */
export function example(document, schema, name = "", depth = 0) {
  const whole = merged(document, schema);
  const given = firstExample(whole);
  if (given !== undefined) return given;
  if ("const" in whole) return whole.const;
  if (whole.default !== undefined && whole.default !== null) return whole.default;
  if (whole.enum) return whole.enum[0];
  const choices = whole.oneOf ?? whole.anyOf;
  if (choices && depth < MAX_DEPTH) return example(document, choices[0], name, depth + 1);
  if (whole.properties && depth < MAX_DEPTH) {
    const wanted = Object.entries(whole.properties).filter(([key]) => (whole.required ?? []).includes(key));
    return Object.fromEntries(wanted.map(([key, value]) => [key, example(document, value, key, depth + 1)]));
  }
  return plainExample(whole, name);
}

function plainExample({ type, minimum = 0 }, name) {
  const kind = Array.isArray(type) ? type[0] : type;
  if (kind === "integer" || kind === "number") return Math.max(minimum, 1);
  if (kind === "boolean") return true;
  if (kind === "array") return [];
  if (kind === "object") return {};
  return name.startsWith("channel") ? "test" : "text";
}

function firstExample({ example: one, examples }) {
  if (one !== undefined) return one;
  if (Array.isArray(examples)) return examples[0];
  const named = Object.values(examples ?? {})[0];
  return named?.value;
}

/** The command that makes the call, ready to be pasted into a POSIX shell. */
export function curl(origin, { method, path, parameters, example: body, streams }) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => {
    const value = parameters.find((each) => each.name === name)?.example;
    return encodeURIComponent(value ?? plainExample({}, name));
  });
  const query = parameters.filter((each) => each.place === "query" && each.required);
  const search = query.map(({ name, example: value }) => `${name}=${encodeURIComponent(value)}`).join("&");
  const parts = ["curl", ...(streams ? ["-N"] : []), ...(method === "GET" || (method === "POST" && body) ? [] : ["-X", method])];
  const lines = [`${parts.join(" ")} ${quoted(origin + filled + (search && `?${search}`))}`];
  if (body !== undefined) lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A schema with its reference followed and its allOf parts laid together. */
function merged(document, schema, depth = 0) {
  const whole = resolve(document, schema);
  if (!whole.allOf || depth >= MAX_DEPTH) return whole;
  const { allOf, ...rest } = whole;
  const parts = [...allOf.map((each) => merged(document, each, depth + 1)), rest];
  const properties = Object.assign({}, ...parts.map((each) => each.properties ?? {}));
  const required = parts.flatMap((each) => each.required ?? []);
  return { ...Object.assign({}, ...parts), ...(Object.keys(properties).length ? { properties, required } : {}) };
}

/** Follow "#/a/b" references; what stands beside a reference wins over what it points to. */
function resolve(document, schema, depth = 0) {
  if (!schema?.$ref || depth >= MAX_DEPTH) return schema ?? {};
  const { $ref, ...beside } = schema;
  const steps = $ref.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  const target = steps.reduce((node, step) => node?.[step], document);
  return { ...resolve(document, target, depth + 1), ...beside };
}
