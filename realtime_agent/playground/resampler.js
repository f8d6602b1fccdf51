// A streaming polyphase resampler between any two sample rates (Kaiser-windowed sinc). It runs inside the worklets.

const ZERO_CROSSINGS = 24; // half the filter's length, in samples of the lower rate: 1 ms of delay at 24 kHz
const CUTOFF = 0.92; // of the lower Nyquist frequency: passes 10 kHz of speech at 24 kHz, and folds nothing back below it
const KAISER_BETA = 7; // about 70 dB of attenuation
const MAX_BLOCK = 8192; // most input samples in one call; a render quantum is 128

export class Resampler {
  constructor(inputRate, outputRate) {
    const divisor = greatestCommonDivisor(inputRate, outputRate);
    this.up = outputRate / divisor;
    this.down = inputRate / divisor;
    const cutoff = CUTOFF * Math.min(1, outputRate / inputRate);
    this.taps = 2 * Math.ceil(ZERO_CROSSINGS / cutoff);
    this.kernel = kernel(this.up, this.taps, cutoff);
    this.window = new Float32Array(this.taps + MAX_BLOCK);
    this.reset();
  }

  reset() {
    this.window.fill(0);
    this.length = this.taps - 1;
    this.index = 0; // where in the window the next output's taps begin
    this.phase = 0;
  }

  /** How many input samples are wanted before `count` outputs can be made. */
  needed(count) {
    const last = this.index + Math.floor((this.phase + (count - 1) * this.down) / this.up);
    return Math.max(0, last + this.taps - this.length);
  }

  /** Take the first `count` samples of `input`, write what can be made to `output`, return how many were written. */
  process(input, count, output) {
    for (let i = 0; i < count; i++) this.window[this.length++] = input[i];
    let written = 0;
    while (written < output.length && this.index + this.taps <= this.length) {
      output[written++] = this.convolve();
      this.phase += this.down;
      this.index += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    const used = Math.min(this.index, this.length);
    this.window.copyWithin(0, used, this.length);
    this.length -= used;
    this.index -= used;
    return written;
  }

  convolve() {
    const { window, kernel, taps, index } = this;
    const row = this.phase * taps;
    let sum = 0;
    for (let i = 0; i < taps; i++) sum += window[index + i] * kernel[row + i];
    return sum;
  }
}

function kernel(phases, taps, cutoff) {
  const half = taps / 2;
  const rows = new Float32Array(phases * taps);
  for (let phase = 0; phase < phases; phase++) {
    const row = rows.subarray(phase * taps, (phase + 1) * taps);
    let gain = 0;
    for (let tap = 0; tap < taps; tap++) {
      const x = tap - half + 1 - phase / phases;
      row[tap] = sinc(cutoff * x) * kaiser(x / half);
      gain += row[tap];
    }
    for (let tap = 0; tap < taps; tap++) row[tap] /= gain;
  }
  return rows;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x) {
  return Math.abs(x) > 1 ? 0 : bessel(KAISER_BETA * Math.sqrt(1 - x * x)) / bessel(KAISER_BETA);
}

/** The modified Bessel function of the first kind, order zero. */
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > sum * 1e-9; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
