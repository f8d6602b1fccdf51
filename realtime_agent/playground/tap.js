// What sounds in a stream, as 20 ms frames of PCM s16le at 24 kHz.

import { addWorklet } from "./worklets.js";

export const FRAME = 480; // samples

export class Tap {
  /**
   * @param {AudioContext} context
   * @param {MediaStream} stream
   * @param {(frame: {pcm: ArrayBuffer, level: number}) => void} onFrame  level is the RMS, 0 to 1
   */
  static async open(context, stream, onFrame) {
    await addWorklet(context, "capture-worklet");
    return new Tap(context, stream, onFrame);
  }

  constructor(context, stream, onFrame) {
    this.source = context.createMediaStreamSource(stream);
    this.node = new AudioWorkletNode(context, "capture", { channelCount: 1, channelCountMode: "explicit", outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => onFrame(data);
    // Its output is silence; being connected is what makes every browser run it.
    this.source.connect(this.node).connect(context.destination);
  }

  close() {
    this.node.port.onmessage = null;
    this.node.port.postMessage("close");
    this.source.disconnect();
    this.node.disconnect();
  }
}
