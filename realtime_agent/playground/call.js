// One stay in a channel: microphone, player and channel, from joining to leaving.

import { requestToken, startAgent } from "./api.js";
import { Channel } from "./channel.js";
import { Microphone } from "./microphone.js";
import { Player } from "./player.js";
import { TurnClock } from "./turn-clock.js";

const PLAYED_EVERY = 2400; // samples: 100 ms between reports to the agent
const ALIVE_EVERY_MS = 5000; // the channel lets go of a page that sends nothing for 15 s

export class Call {
  /**
   * Join a channel, starting its agent if none runs there.
   * @param {{channelName: string, uid: number, processing: boolean}} wish  uid 0 leaves the choice to the server
   * @param {object} handlers  onStep(text) while joining; then onJoined, onListening, onState and onTranscript with the
   *   channel's message; onClose(code, reason); onMicrophone(level); onPlayed(report); onLatency(ms); onMicrophoneLost();
   *   onSound(running) whenever the browser lets sound run or withholds it
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
    this.playedSent = 0;
    // Made at once, while the click that led here still counts as the user's leave to make sound.
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.context.onstatechange = () => handlers.onSound(this.context.state === "running");
  }

  async open({ channelName, uid, processing }, signal) {
    const { context, handlers } = this;
    handlers.onStep("Asking for the microphone…");
    this.microphone = await Microphone.open(context, processing, {
      onFrame: (pcm, level) => this.captured(pcm, level),
      onLost: handlers.onMicrophoneLost,
    });
    this.player = await Player.open(context, {
      onPlayed: (report) => this.played(report),
      onFlushed: (reached) => this.channel?.played(reached),
    });
    signal.throwIfAborted();
    handlers.onStep("Starting the agent…");
    await startAgent(channelName, signal);
    handlers.onStep("Connecting…");
    const { url } = await requestToken(channelName, uid, signal);
    this.channel = await Channel.open(url, this.channelHandlers(), signal);
    this.alive = setInterval(() => this.stayAlive(), ALIVE_EVERY_MS);
    this.resume();
  }

  /** While the browser withholds sound there are no microphone frames that would show that this page is here. */
  stayAlive() {
    if (!this.soundRuns) this.channel.played(this.player.position);
  }

  channelHandlers() {
    const { handlers } = this;
    return {
      onAudio: (pcm) => this.player.append(pcm),
      onMessage: {
        joined: (message) => {
          this.startAt(message.position);
          handlers.onJoined(message);
        },
        flush: ({ position }) => {
          this.player.flush(position);
          this.playedSent = position;
        },
        transcript: handlers.onTranscript,
        listening: handlers.onListening,
        state: handlers.onState,
      },
      onClose: (code, reason) => {
        this.close();
        handlers.onClose(code, reason);
      },
    };
  }

  startAt(position) {
    this.player.reset(position);
    this.playedSent = position;
  }

  captured(pcm, level) {
    this.turns.heard(level, performance.now());
    this.channel?.sendAudio(pcm);
    this.handlers.onMicrophone(level);
  }

  played(report) {
    if (report.type === "played" && (!report.playing || report.position - this.playedSent >= PLAYED_EVERY)) {
      this.channel?.played(report.position);
      this.playedSent = report.position;
    }
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
  }

  get soundRuns() {
    return this.context.state === "running";
  }

  mute(muted) {
    this.microphone.muted = muted;
  }

  leave() {
    this.channel.leave();
  }

  close() {
    clearInterval(this.alive);
    this.microphone?.close();
    this.player?.close();
    this.context.onstatechange = null;
    if (this.context.state !== "closed") this.context.close();
  }
}
