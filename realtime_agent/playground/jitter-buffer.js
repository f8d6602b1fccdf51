// The agent's audio between its arrival and its playing, at 24 kHz. No I/O: the playback worklet pulls from it.
//
// Positions are counted as on the wire: samples of agent audio since the agent joined.

const START = 960; // 40 ms gathered before playing starts, so that one late frame is not heard
const CATCH_UP_ABOVE = 1920; // 80 ms: more than the agent's lead, so a stall has left a delay worth working off
const BLOCK = 120; // 5 ms: what is skipped at a time
const SILENT_BELOW = 0.003; // peak, about -50 dBFS
export const CAPACITY = 240_000; // 10 s; past it the oldest audio is dropped

export class JitterBuffer {
  constructor(capacity = CAPACITY) {
    this.ring = new Float32Array(capacity);
    this.reset(0);
  }

  reset(position) {
    this.position = position; // of the next sample to be played
    this.fill = 0;
    this.playing = false;
    this.waited = 0;
  }

  /** Drop everything not played; return the position that was reached. */
  flush(position) {
    const reached = this.position;
    this.reset(position);
    return reached;
  }

  /** Add Int16 samples that begin at `position`. Audio that does not follow on what is held replaces it. */
  append(position, samples) {
    if (position !== this.position + this.fill) this.reset(position);
    const { ring } = this;
    const excess = this.fill + samples.length - ring.length;
    if (excess > 0) this.drop(Math.min(excess, this.fill));
    const kept = Math.min(samples.length, ring.length);
    this.position += samples.length - kept;
    let at = (this.position + this.fill) % ring.length;
    for (let i = samples.length - kept; i < samples.length; i++) {
      ring[at] = samples[i] / 32768;
      at = at + 1 === ring.length ? 0 : at + 1;
    }
    this.fill += kept;
  }

  /** Write `count` samples to `output`, silence where there are none; return how many were the agent's. */
  pull(output, count) {
    if (!this.playing && !this.ready(count)) {
      output.fill(0, 0, count);
      return 0;
    }
    this.skipSilence();
    const { ring } = this;
    const taken = Math.min(count, this.fill);
    let at = this.position % ring.length;
    for (let i = 0; i < taken; i++) {
      output[i] = ring[at];
      at = at + 1 === ring.length ? 0 : at + 1;
    }
    this.drop(taken);
    output.fill(0, taken, count);
    if (taken < count) {
      this.playing = false;
      this.waited = 0;
    }
    return taken;
  }

  /** Whether to start: enough is here, or what is here has waited as long as enough would have taken. */
  ready(count) {
    if (this.fill > 0) this.waited += count;
    this.playing = this.fill >= START || this.waited >= START;
    return this.playing;
  }

  /** Work off a delay where nobody hears it. Under continuous sound the delay stays: a cut would be heard. */
  skipSilence() {
    if (this.fill <= CATCH_UP_ABOVE) return;
    for (let i = 0; i < BLOCK; i++) {
      if (Math.abs(this.ring[(this.position + i) % this.ring.length]) >= SILENT_BELOW) return;
    }
    this.drop(BLOCK);
  }

  drop(count) {
    this.position += count;
    this.fill -= count;
  }
}
