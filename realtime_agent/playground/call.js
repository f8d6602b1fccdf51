// One stay in a channel: microphone and line, from joining to leaving.

import { requestToken, startAgent } from "./api.js";
import { Microphone } from "./microphone.js";
import { TurnClock } from "./turn-clock.js";
import { WebLine } from "./web-line.js";
import { within } from "./within.js";

export class Call {
  /**
   * Join a channel, starting its agent if none runs there.
   * @param {{channelName: string, uid: number, processing: boolean}} wish  uid 0 leaves the choice to the server
   * @param {object} handlers  onStep(text) while joining; then onJoined, onListening, onState and onTranscript with the
   *   channel's message; onTrouble(words), empty when it has passed; onClose(code, reason, words); onMicrophone(level);
   *   onPlayed(report); onLatency(ms); onMicrophoneLost(); onSound(running) whenever the browser lets sound run or
   *   withholds it
   * @param {AbortSignal} signal  gives the attempt up
   */
  static async join(wish, handlers, signal) {
    const call = new Call(handlers);
    try {
      await call.open(wish, signal);
    } catch (error) {
      call.close();
      throw error;
    }
    return call;
  }

  constructor(handlers) {
    this.handlers = handlers;
    this.turns = new TurnClock();
    this.speaking = false;
    // Made at once, while the click that led here still counts as the user's leave to make sound.
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.context.onstatechange = () => handlers.onSound(this.soundRuns);
  }

  async open({ channelName, uid, processing }, signal) {
    const { handlers } = this;
    handlers.onStep("Asking for the microphone…");
    this.microphone = await this.openMicrophone(processing, signal);
    handlers.onStep("Starting the agent…");
    await startAgent(channelName, signal);
    handlers.onStep("Connecting…");
    const token = await requestToken(channelName, uid, signal);
    this.line = await openLine(token, this, this.lineHandlers(), signal);
    this.resume();
  }

  /** The browser may ask the user, who may take any time or cancel. */
  async openMicrophone(processing, signal) {
    const opening = Microphone.open(this.context, processing, {
      onFrame: (pcm, level) => this.captured(pcm, level),
      onLost: this.handlers.onMicrophoneLost,
    });
    try {
      return await within(opening, 0, signal);
    } catch (error) {
      opening.then((late) => late.close(), () => {});
      throw error;
    }
  }

  lineHandlers() {
    const { handlers } = this;
    return {
      ...handlers,
      onPlayed: (report) => this.played(report),
      onClose: (...end) => {
        this.close();
        handlers.onClose(...end);
      },
    };
  }

  captured(pcm, level) {
    this.turns.heard(level, performance.now());
    this.line?.sendAudio(pcm);
    this.handlers.onMicrophone(level);
  }

  played(report) {
    if (report.speaking && !this.speaking) {
      const latency = this.turns.answered(performance.now());
      if (latency !== null) this.handlers.onLatency(latency);
    }
    this.speaking = report.speaking;
    this.handlers.onPlayed(report);
  }

  /** Ask the browser for sound; it may withhold it until the user clicks. */
  resume() {
    this.context.resume().catch(() => {}); // onstatechange tells what came of it
    this.line?.resume();
  }

  get soundRuns() {
    return this.context.state === "running" && !this.line?.soundBlocked;
  }

  mute(muted) {
    this.microphone.mute(muted);
  }

  /** The user has finished by letting go of a button. */
  finished() {
    this.turns.finished(performance.now());
  }

  holdBack(isHeldBack) {
    this.microphone.holdBack(isHeldBack);
  }

  leave() {
    this.line.leave();
  }

  close() {
    this.line?.close();
    this.microphone?.close();
    this.context.onstatechange = null;
    if (this.context.state !== "closed") this.context.close();
  }
}

/**
 * The line to the channel that a token is for. What only Agora's needs is loaded only for it.
 * @param {object} token  from POST /token
 * @param {{context: AudioContext, microphone: Microphone}} call
 * @param {object} handlers  the call's; onClose comes once, after the line was open
 * @param {AbortSignal} signal  gives the attempt up
 */
async function openLine(token, call, handlers, signal) {
  if (token.rtc !== "agora") return WebLine.open(token, call, handlers, signal);
  const { AgoraLine } = await import("./agora-line.js");
  return AgoraLine.open(token, call, handlers, signal);
}
