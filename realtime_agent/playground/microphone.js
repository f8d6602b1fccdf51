// The user's microphone as 20 ms frames of PCM s16le at 24 kHz.

import { Tap } from "./tap.js";

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

const MAX_HELD_BACK = 90; // frames: 1.8 s; whoever takes them has room for a hundred at once

export class Microphone {
  /**
   * Ask for the microphone and start it.
   * @param {AudioContext} context
   * @param {boolean} processing  false leaves the sound as it is (for measuring, or with headphones)
   * @param {{onFrame: (pcm: ArrayBuffer, level: number) => void, onLost: () => void}} handlers  level is the RMS, 0 to 1
   * @throws {MicrophoneError}
   */
  static async open(context, processing, handlers) {
    const microphone = new Microphone(await askForMicrophone(processing), handlers);
    try {
      microphone.tap = await Tap.open(context, microphone.stream, (frame) => microphone.take(frame));
    } catch (error) {
      microphone.close();
      throw error;
    }
    return microphone;
  }

  constructor(stream, handlers) {
    this.stream = stream;
    this.handlers = handlers;
    this.isMuted = false;
    this.heldBack = null; // frames, while they wait
    this.track.onended = handlers.onLost;
  }

  get track() {
    return this.stream.getAudioTracks()[0];
  }

  /** A muted microphone goes on, with silence: the agent's voice activity detection needs a steady stream. */
  mute(muted) {
    this.isMuted = muted;
    this.track.enabled = !muted; // for Agora, which takes the track itself
  }

  /** Let what is heard wait, or all that waits go. Not for Agora, where sound takes longer than any command. */
  holdBack(isHeldBack) {
    if (isHeldBack) {
      this.heldBack ??= [];
      return;
    }
    const frames = this.heldBack ?? [];
    this.heldBack = null;
    for (const frame of frames) this.handlers.onFrame(...frame);
  }

  take({ pcm, level }) {
    // Silenced here, at the last step, so that muting holds from the very click for frames on their way too.
    if (this.isMuted) new Int16Array(pcm).fill(0);
    const frame = [pcm, this.isMuted ? 0 : level];
    if (!this.heldBack) this.handlers.onFrame(...frame);
    else if (this.heldBack.push(frame) > MAX_HELD_BACK) this.heldBack.shift();
  }

  close() {
    this.tap?.close();
    this.track.onended = null;
    this.track.stop();
  }
}
