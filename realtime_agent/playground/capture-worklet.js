// The audio thread's side of tap.js: native-rate sound in, 20 ms frames of 24 kHz Int16 out.

import { Resampler } from "./resampler.js";

const RATE = 24_000;
const FRAME = 480; // samples: 20 ms, as in tap.js

class CaptureProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = sampleRate === RATE ? null : new Resampler(sampleRate, RATE);
    this.resampled = new Float32Array(4096);
    this.silence = new Float32Array(128);
    this.closed = false;
    this.begin();
    this.port.onmessage = () => {
      this.closed = true;
    };
  }

  begin() {
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.square = 0;
  }

  process([input]) {
    // A microphone that was unplugged gives no channel. Silence keeps the agent's voice activity detection in step.
    const channel = input[0] ?? this.silence;
    if (this.resampler) this.take(this.resampled, this.resampler.process(channel, channel.length, this.resampled));
    else this.take(channel, channel.length);
    return !this.closed;
  }

  take(samples, count) {
    for (let i = 0; i < count; i++) {
      const sample = Math.max(-1, Math.min(1, samples[i]));
      this.frame[this.filled++] = Math.round(sample * 32767);
      this.square += sample * sample;
      if (this.filled === FRAME) this.post();
    }
  }

  post() {
    const pcm = this.frame.buffer;
    this.port.postMessage({ pcm, level: Math.sqrt(this.square / FRAME) }, [pcm]);
    this.begin();
  }
}

registerProcessor("capture", CaptureProcessor);
