// How long a turn took: from the end of the user's speech to the first sound of the agent's answer. No I/O.

const SPEECH = 0.02; // RMS of a microphone frame, about -34 dBFS: above a room's noise
const BREAK_MS = 200; // the quiet that ends speech; between and within words it is shorter

export class TurnClock {
  constructor() {
    this.reset();
  }

  reset() {
    this.spokeAt = null;
    this.endedAt = null; // the end of the speech before the one that is under way
  }

  /** A microphone frame was taken at `now` (ms). */
  heard(level, now) {
    if (level <= SPEECH) return;
    if (this.hasEnded(now)) this.endedAt = this.spokeAt;
    this.spokeAt = now;
  }

  /** The user has finished at `now`, by letting go of a button. */
  finished(now) {
    this.spokeAt = null;
    this.endedAt = now;
  }

  /** The agent began to sound at `now`; returns the turn's latency in ms, or null when it answered nothing. */
  answered(now) {
    // Who speaks again already is answered what came before.
    const end = this.hasEnded(now) ? this.spokeAt : this.endedAt;
    this.reset();
    return end === null ? null : now - end;
  }

  hasEnded(now) {
    return this.spokeAt !== null && now - this.spokeAt >= BREAK_MS;
  }
}
