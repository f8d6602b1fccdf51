// The user's microphone as 20 ms frames of PCM s16le at 24 kHz.

import { addWorklet } from "./worklets.js";

const PROCESSING = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const NO_PROCESSING = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** Why there is no microphone, in words for the person at the page. */
export class MicrophoneError extends Error {}

async function askForMicrophone(processing) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new MicrophoneError(
      window.isSecureContext
        ? "This browser gives web pages no microphone. Try a current Chrome, Edge, Firefox or Safari."
        : `Browsers allow the microphone only on https:// pages and on localhost, and this page is ${location.origin}. ` +
          "Open it on the machine itself as http://localhost, or serve it over HTTPS.",
    );
  }
  try {
    const audio = { channelCount: 1, ...(processing ? PROCESSING : NO_PROCESSING) };
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new MicrophoneError(WORDS[error.name] ?? `The microphone could not be opened (${error.name}).`, { cause: error });
  }
}

const WORDS = {
  NotAllowedError:
    "The microphone was refused, so the agent could not hear you. Allow it for this page (usually at the address bar), then join again.",
  NotFoundError: "No microphone was found. Plug one in, then join again.",
  NotReadableError: "The microphone is in use by another program, or the system withholds it. Free it, then join again.",
};

/** Whether the microphone can be opened without asking. */
export async function microphoneGranted() {
  try {
    return (await navigator.permissions.query({ name: "microphone" })).state === "granted";
  } catch {
    return false; // a browser that does not answer will ask
  }
}

export class Microphone {
  /**
   * Ask for the microphone and start it.
   * @param {AudioContext} context
   * @param {boolean} processing  false leaves the sound as it is (for measuring, or with headphones)
   * @param {{onFrame: (pcm: ArrayBuffer, level: number) => void, onLost: () => void}} handlers  level is the RMS, 0 to 1
   * @throws {MicrophoneError}
   */
  static async open(context, processing, handlers) {
    const stream = await askForMicrophone(processing);
    try {
      await addWorklet(context, "capture-worklet");
    } catch (error) {
      stop(stream);
      throw error;
    }
    return new Microphone(context, stream, handlers);
  }

  constructor(context, stream, handlers) {
    this.stream = stream;
    this.muted = false; // a muted microphone sends zeros: the agent's voice activity detection needs a steady stream
    this.source = context.createMediaStreamSource(stream);
    this.node = new AudioWorkletNode(context, "capture", { channelCount: 1, channelCountMode: "explicit", outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => {
      // Silenced here, at the last step, so that muting holds from the very click for frames on their way too.
      if (this.muted) new Int16Array(data.pcm).fill(0);
      handlers.onFrame(data.pcm, this.muted ? 0 : data.level);
    };
    for (const track of stream.getAudioTracks()) track.onended = handlers.onLost;
    // Its output is silence; being connected is what makes every browser run it.
    this.source.connect(this.node).connect(context.destination);
  }

  close() {
    this.node.port.onmessage = null;
    this.node.port.postMessage("close");
    this.source.disconnect();
    this.node.disconnect();
    stop(this.stream);
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) {
    track.onended = null;
    track.stop();
  }
}
