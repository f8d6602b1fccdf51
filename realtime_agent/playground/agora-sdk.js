// Agora's SDK for browsers, as the server serves it.

import { ApiError, errorFrom } from "./api.js";
import { within } from "./within.js";

const PATH = "/agora/AgoraRTC.js";
const TIMEOUT_MS = 30_000; // it has 1.6 MB
const LOG_WARNINGS = 2;

/**
 * Load the SDK, unless it is there, and let it tell nobody of what happens here.
 * @param {AbortSignal} signal  gives it up
 */
export async function loadSdk(signal) {
  if (!window.AgoraRTC) await addScript(signal);
  const sdk = window.AgoraRTC;
  if (!sdk) throw new ApiError(0, "The file that AGORA_WEB_SDK names on the server is not Agora's SDK for browsers.");
  sdk.setLogLevel(LOG_WARNINGS);
  sdk.disableLogUpload();
  sdk.setParameter("ENABLE_EVENT_REPORT", false); // not documented; without it each call is reported to Agora step by step
  return sdk;
}

async function addScript(signal) {
  const script = document.createElement("script");
  const loading = new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = reject;
  });
  script.src = PATH;
  document.head.append(script);
  try {
    await within(loading, TIMEOUT_MS, signal);
  } catch {
    script.remove(); // the next attempt has its own
    signal.throwIfAborted();
    throw await whyMissing();
  }
}

/** A browser does not tell a script's status, so the same address is asked again. */
async function whyMissing() {
  try {
    const response = await fetch(PATH, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok) return await errorFrom(response);
  } catch {
    // falls through: no answer is no reason
  }
  return new ApiError(0, `Agora's SDK could not be loaded from ${location.host}.`);
}
