// The audio thread's side of player.js: 24 kHz agent audio in, native-rate sound out, and an account of what was played.

import { JitterBuffer } from "./jitter-buffer.js";
import { Resampler } from "./resampler.js";

const RATE = 24_000;
const REPORT_EVERY = 1200; // 50 ms of samples
const AUDIBLE = 0.004; // RMS of a render quantum, about -48 dBFS
const PAUSE = 7200; // 300 ms without audible sound end a stretch of speech
const DECLICK = 0.97; // after a flush the output falls to zero within about 3 ms instead of at once

class PlaybackProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.buffer = new JitterBuffer();
    this.resampler = sampleRate === RATE ? null : new Resampler(RATE, sampleRate);
    this.scratch = new Float32Array(4096);
    this.samples = 0; // agent samples played
    this.energy = 0; // their summed squares, as handed to the loudspeaker
    this.reported = { samples: 0, energy: 0 };
    this.sincePlaying = 0; // samples of time since the last report
    this.sinceAudible = PAUSE;
    this.speaking = false;
    this.lastOutput = 0;
    this.residue = 0;
    this.closed = false;
    this.port.onmessage = ({ data }) => this.receive(data);
  }

  receive(message) {
    if (message.type === "audio") {
      this.buffer.append(message.position, new Int16Array(message.pcm, 0, message.pcm.byteLength >> 1));
    } else if (message.type === "reset") {
      this.buffer.reset(message.position);
    } else if (message.type === "flush") {
      const reached = this.buffer.flush(message.position);
      this.resampler?.reset();
      this.residue = this.lastOutput;
      this.speaking = false;
      this.sinceAudible = PAUSE;
      this.report({ type: "flushed", reached });
    } else if (message.type === "close") {
      this.closed = true;
    }
  }

  process(_inputs, [[output]]) {
    const wasPlaying = this.buffer.playing;
    const needed = this.resampler ? this.resampler.needed(output.length) : output.length;
    const played = this.buffer.pull(this.scratch, needed);
    if (this.resampler) this.resampler.process(this.scratch, needed, output);
    else output.set(this.scratch.subarray(0, needed));
    const changed = this.measure(output, played);
    this.soften(output);
    this.sincePlaying += (output.length * RATE) / sampleRate;
    const stopped = wasPlaying && !this.buffer.playing;
    if (changed || stopped || (this.sincePlaying >= REPORT_EVERY && this.buffer.playing)) this.report({ type: "played" });
    return !this.closed;
  }

  /** Account for a quantum of output; return whether the agent began or ceased to speak. */
  measure(output, played) {
    let square = 0;
    for (const sample of output) square += sample * sample;
    this.samples += played;
    this.energy += (square * RATE) / sampleRate;
    const audible = Math.sqrt(square / output.length) > AUDIBLE;
    this.sinceAudible = audible ? 0 : this.sinceAudible + (output.length * RATE) / sampleRate;
    const speaking = audible || (this.speaking && this.sinceAudible < PAUSE);
    const changed = speaking !== this.speaking;
    this.speaking = speaking;
    return changed;
  }

  soften(output) {
    this.lastOutput = output[output.length - 1];
    for (let i = 0; i < output.length && Math.abs(this.residue) > 1e-4; i++) {
      output[i] += this.residue;
      this.residue *= DECLICK;
    }
  }

  report(message) {
    const { samples, energy } = this;
    const elapsed = Math.max(1, this.sincePlaying);
    const level = Math.sqrt(Math.max(0, energy - this.reported.energy) / elapsed);
    const { position, fill, playing } = this.buffer;
    this.reported = { samples, energy };
    this.sincePlaying = 0;
    this.port.postMessage({ ...message, position, fill, playing, samples, energy, level, speaking: this.speaking });
  }
}

registerProcessor("playback", PlaybackProcessor);
