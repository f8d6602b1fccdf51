// Plays the agent's audio, and knows to the sample what was played.

import { addWorklet } from "./worklets.js";

export class Player {
  /**
   * @param {AudioContext} context
   * @param {{onPlayed: (report: object) => void, onFlushed: (reached: number) => void}} handlers
   *   A report is {position, fill, playing, samples, energy, level, speaking}: the position reached, samples still
   *   held, samples played so far, the summed squares of the sound made, its RMS since the last report.
   */
  static async open(context, handlers) {
    await addWorklet(context, "playback-worklet");
    return new Player(context, handlers);
  }

  constructor(context, handlers) {
    this.context = context;
    this.handlers = handlers;
    this.position = 0; // reached, as last reported
    this.end = 0; // where the next frame to arrive begins
    this.node = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => this.receive(data);
    this.node.connect(context.destination);
  }

  receive(report) {
    this.position = report.position;
    if (report.type === "flushed") this.handlers.onFlushed(report.reached);
    this.handlers.onPlayed(report);
  }

  /** Start counting at `position`, with nothing held. */
  reset(position) {
    this.position = this.end = position;
    this.node.port.postMessage({ type: "reset", position });
  }

  /** Take a frame of PCM s16le; its buffer is given away. */
  append(pcm) {
    const position = this.end;
    this.end += pcm.byteLength >> 1;
    // While the browser withholds sound, audio is let go: played late, it would be stale.
    if (this.context.state === "running") this.node.port.postMessage({ type: "audio", position, pcm }, [pcm]);
  }

  /**
   * Drop all that is not played, and count on from `position`. What was handed to the sound device is past recall, so
   * the position reached counts it as played.
   */
  flush(position) {
    if (this.context.state !== "running") {
      this.handlers.onFlushed(this.position);
      this.reset(position);
      return;
    }
    this.end = position;
    this.node.port.postMessage({ type: "flush", position });
  }

  close() {
    this.node.port.postMessage({ type: "close" });
    this.node.port.onmessage = null;
    this.node.disconnect();
  }
}
