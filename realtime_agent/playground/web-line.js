// The line to the embedded channel: the agent's audio is played by us, and the agent is told what was.

import { Channel, closeInWords } from "./channel.js";
import { Player } from "./player.js";

const PLAYED_EVERY = 2400; // samples: 100 ms between reports to the agent
const ALIVE_EVERY_MS = 5000; // the channel lets go of a page that sends nothing for 15 s

export class WebLine {
  /** See openLine in call.js. */
  static async open({ url }, { context }, handlers, signal) {
    const line = new WebLine(context, handlers);
    try {
      line.player = await Player.open(context, {
        onPlayed: (report) => line.played(report),
        onFlushed: (reached) => line.channel?.played(reached),
      });
      line.channel = await Channel.open(url, line.channelHandlers(), signal);
    } catch (error) {
      line.close();
      throw error;
    }
    line.alive = setInterval(() => line.stayAlive(), ALIVE_EVERY_MS);
    return line;
  }

  constructor(context, handlers) {
    this.context = context;
    this.handlers = handlers;
    this.soundBlocked = false; // its sound is the context's
    this.playedSent = 0;
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
      onClose: (code, reason) => handlers.onClose(code, reason, closeInWords(code, reason)),
    };
  }

  startAt(position) {
    this.player.reset(position);
    this.playedSent = position;
  }

  played(report) {
    if (report.type === "played" && (!report.playing || report.position - this.playedSent >= PLAYED_EVERY)) {
      this.channel?.played(report.position);
      this.playedSent = report.position;
    }
    this.handlers.onPlayed(report);
  }

  /** While the browser withholds sound there are no microphone frames that would show that this page is here. */
  stayAlive() {
    if (this.context.state !== "running") this.channel.played(this.player.position);
  }

  sendAudio(pcm) {
    this.channel?.sendAudio(pcm);
  }

  get framesSent() {
    return this.channel?.framesSent ?? 0;
  }

  get framesDropped() {
    return this.channel?.framesDropped ?? 0;
  }

  resume() {}

  leave() {
    this.channel.leave();
  }

  close() {
    clearInterval(this.alive);
    this.player?.close();
  }
}
