// The messages that an agent sends over Agora: how they are put together, and what they mean. No I/O.

const MAX_PART_BYTES = 1024;
const MAX_OPEN = 32; // messages of which some parts came and others did not, yet or ever
const MAX_DONE = 256; // messages that are whole, kept in mind since their parts may come twice

const PART = /^([^|]+)\|([1-9]\d?)\|([1-9]\d?)\|([^|]*)$/;

/** Puts messages together of parts `msg_id|part|total|content` in any order. What is broken is dropped. */
export class Assembler {
  constructor() {
    this.open = new Map(); // by id, the oldest first
    this.done = new Set(); // ids, the oldest first
  }

  /**
   * Take a part.
   * @param {Uint8Array} bytes
   * @returns {object | null} the message that it completes
   */
  add(bytes) {
    const match = bytes.length > MAX_PART_BYTES ? null : PART.exec(new TextDecoder().decode(bytes));
    if (!match) return null;
    const [id, content] = [match[1], match[4]];
    const [part, total] = [Number(match[2]), Number(match[3])];
    const message = this.open.get(id) ?? { total, pieces: new Map() };
    if (part > total || total !== message.total || this.done.has(id)) return null;
    message.pieces.set(part, content);
    if (message.pieces.size < total) {
      keepNewest(this.open.set(id, message), MAX_OPEN);
      return null;
    }
    this.open.delete(id);
    keepNewest(this.done.add(id), MAX_DONE);
    return read(Array.from({ length: total }, (_, before) => message.pieces.get(before + 1)).join(""));
  }
}

function keepNewest(collection, most) {
  if (collection.size > most) collection.delete(collection.keys().next().value);
}

/** The JSON object that is in base64, or null. */
function read(content) {
  try {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return typeof body === "object" && !Array.isArray(body) ? body : null;
  } catch {
    return null;
  }
}

const ROLES = new Map([
  ["response.audio_transcript.delta", "assistant"],
  ["response.audio_transcript.done", "assistant"],
  ["conversation.item.input_audio_transcription.delta", "user"],
  ["conversation.item.input_audio_transcription.completed", "user"],
]);

/** The transcript message, as the embedded channel has it, that an event of the Realtime API is, or null. */
export function asTranscript({ type, item_id, delta, transcript, interrupted }) {
  const role = ROLES.get(type);
  const final = typeof transcript === "string";
  if (role === undefined || typeof item_id !== "string" || !(final || typeof delta === "string")) return null;
  return { type: "transcript", role, item_id, ...(final ? { text: transcript, final } : { delta }), interrupted: interrupted === true };
}
