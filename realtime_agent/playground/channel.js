// The embedded channel, from the user's end: a websocket with PCM frames and JSON messages.

import { ApiError, errorFrom } from "./api.js";

const OPEN_TIMEOUT_MS = 15_000;
const MAX_UNSENT_BYTES = 48_000; // 1 s of audio; past it frames are dropped, since late speech helps nobody

/** The close codes of the channel's own; what others mean is the browser's and the server's business. */
export const CLOSED = { LEFT: 1000, REPLACED: 4001, ENDED: 4002, FULL: 4003 };

export class Channel {
  /**
   * Open the channel.
   * @param {string} url  from POST /token
   * @param {object} handlers  onAudio(ArrayBuffer); onMessage.<type>(message) for joined, listening, flush,
   *   transcript and state; onClose(code, reason), once, after the channel was open
   * @throws {ApiError} when the server refuses or does not answer
   */
  static async open(url, handlers, signal) {
    const address = new URL(url, location.href);
    // A page served over HTTPS may open only secure websockets; what serves the page so serves the channel so.
    if (location.protocol === "https:") address.protocol = "wss:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    if (!(await opened(socket, signal))) {
      socket.close();
      signal?.throwIfAborted();
      throw await whyRefused(address);
    }
    return new Channel(socket, handlers);
  }

  constructor(socket, handlers) {
    this.socket = socket;
    this.framesSent = 0;
    this.framesDropped = 0;
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) handlers.onAudio(data);
      else receive(data, handlers.onMessage);
    };
    socket.onclose = ({ code, reason }) => handlers.onClose(code, reason);
  }

  /** Send a frame of PCM s16le at 24 kHz. */
  sendAudio(pcm) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount > MAX_UNSENT_BYTES) {
      this.framesDropped += 1;
      return;
    }
    this.socket.send(pcm);
    this.framesSent += 1;
  }

  /** Tell how much of the agent's audio was played. */
  played(position) {
    this.send({ type: "played", position });
  }

  /** Leave the channel; the agent stays for its grace time. */
  leave() {
    this.send({ type: "leave" });
    this.socket.close(CLOSED.LEFT, "left");
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}

function receive(text, onMessage) {
  const message = JSON.parse(text);
  onMessage[message.type]?.(message); // a type of a later version is no error
}

function opened(socket, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), OPEN_TIMEOUT_MS);
    const settle = (open) => {
      clearTimeout(timer);
      resolve(open);
    };
    socket.onopen = () => settle(true);
    socket.onclose = () => settle(false);
    signal?.addEventListener("abort", () => settle(false), { once: true });
  });
}

/** A browser hides the answer to a refused upgrade, so the same address is asked again in plain HTTP. */
async function whyRefused(address) {
  const plain = new URL(address);
  plain.protocol = address.protocol === "wss:" ? "https:" : "http:";
  try {
    const response = await fetch(plain, { signal: AbortSignal.timeout(OPEN_TIMEOUT_MS) });
    if ([401, 403, 404, 503].includes(response.status)) return await errorFrom(response);
  } catch {
    // falls through: no answer is no reason
  }
  return new ApiError(0, `The channel at ${address.host} could not be opened.`);
}

/** What a close code means for the person at the page. */
export function closeInWords(code, reason) {
  if (code === CLOSED.ENDED) return `The agent ended: ${endInWords(reason)}`;
  return CLOSE[code] ?? `The connection closed (code ${code}${reason ? `: ${reason}` : ""}). Join again to go on.`;
}

const CLOSE = {
  [CLOSED.LEFT]: "You left the channel.",
  1001: "The server is going away.",
  1006: "The connection was lost. Join again to continue the same conversation.",
  1009: "The server closed the connection: a message was too large.",
  1011: "The server closed the connection after an error of its own.",
  [CLOSED.REPLACED]: "You joined this channel in another tab or window, so this one was disconnected.",
  [CLOSED.FULL]: "The channel has as many participants as it can take.",
};

/** What the reason of an agent's end means. */
export function endInWords(reason) {
  return END[reason] ?? (reason ? `${reason}.` : "no reason was given.");
}

const END = {
  stopped: "it was stopped.",
  user_left: "nobody was left to talk to.",
  user_never_came: "nobody joined in time.",
  idle: "nobody spoke for a long while.",
  max_duration: "the conversation reached its time limit.",
  model_failed: "the voice model failed.",
  rtc_failed: "the audio channel failed.",
  crashed: "its process crashed.",
  drained: "the server is shutting down.",
};
