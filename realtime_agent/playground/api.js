// The server's HTTP calls that the page makes, and their errors in words.

const START_TIMEOUT_MS = 90_000; // the server answers only once the model's session is configured
const TIMEOUT_MS = 15_000;
const AGENT_UID = 1000;

/** An HTTP call failed. `status` is 0 when the server did not answer; the message is for the person at the page. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Start an agent in the channel, unless one runs there. */
export async function startAgent(channelName, signal) {
  try {
    await post("/start_agent", { channel_name: channelName, uid: AGENT_UID }, { signal, timeout: START_TIMEOUT_MS });
  } catch (error) {
    if (error.status !== 409) throw error;
  }
}

/**
 * Ask for a token; uid 0 asks for a number too.
 * @returns {Promise<{rtc: "web" | "agora", channel_name: string, uid: number, token: string, url?: string, app_id?: string}>}
 */
export function requestToken(channelName, uid, signal) {
  return post("/token", { channel_name: channelName, uid }, { signal });
}

/** @returns {Promise<{uid: number, user_uid: number | null, state: string, reason: string | null}>}  the channel's agent */
export function findAgent(channelName, signal) {
  return ask("GET", `/agents/${encodeURIComponent(channelName)}`, undefined, { signal });
}

/** Ask something of the channel's agent, as docs/api.md has it. */
export function controlAgent(channelName, command, fields = {}) {
  return post("/control_agent", { channel_name: channelName, command, ...fields });
}

/** End the channel's agent, if one runs. */
export async function stopAgent(channelName) {
  try {
    await post("/stop_agent", { channel_name: channelName }, { timeout: START_TIMEOUT_MS });
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}

function post(path, body, options) {
  return ask("POST", path, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }, options);
}

async function ask(method, path, content, { signal, timeout = TIMEOUT_MS } = {}) {
  const signals = [AbortSignal.timeout(timeout), ...(signal ? [signal] : [])];
  let response;
  try {
    response = await fetch(path, { method, ...content, signal: AbortSignal.any(signals) });
  } catch (error) {
    if (signal?.aborted) throw error;
    if (error.name === "TimeoutError") throw new ApiError(0, "The server did not answer in time.");
    throw new ApiError(0, `The server at ${location.host} can't be reached. Is it running?`);
  }
  if (!response.ok) throw await errorFrom(response);
  return response.json();
}

/** @param {Response} response  one that is not ok */
export async function errorFrom(response) {
  const body = await response.json().catch(() => ({}));
  const said = [trimmed(body.error), trimmed(inWords(body.details))].filter(Boolean).join(": ");
  const meaning = MEANING[response.status] ?? `The server answered ${response.status}.`;
  const retryAfter = response.headers.get("Retry-After");
  const hint = response.status === 503 && retryAfter ? ` Try again in ${retryAfter} s.` : "";
  return new ApiError(response.status, `${said ? `${said}.` : meaning}${hint}`);
}

/** For an answer that says nothing itself. */
const MEANING = {
  400: "The server did not accept this.",
  401: "The server did not accept this page's token or key.",
  403: "The server does not allow this.",
  404: "There is no agent in this channel.",
  409: "That is not possible right now.",
  500: "The server made a mistake.",
  502: "The agent could not start.",
  503: "The server is full or not ready.",
  504: "The agent did not start in time.",
};

/** Details are a text, or a list of {field, message}. */
function inWords(details) {
  if (!Array.isArray(details)) return typeof details === "string" ? details : "";
  return details.map(({ field, message }) => (field ? `${field}: ${message}` : message)).join("; ");
}

function trimmed(text) {
  return typeof text === "string" ? text.trim().replace(/\.$/, "") : "";
}
