// How long a turn took: from the end of the user's speech to the first sound of the agent's answer. No I/O.

const SPEECH = 0.02; // RMS of a microphone frame, about -34 dBFS: above a room's noise

export class TurnClock {
  constructor() {
    this.spokeAt = null;
  }

  /** A microphone frame was taken at `now` (ms). */
  heard(level, now) {
    if (level > SPEECH) this.spokeAt = now;
  }

  /** The agent began to sound at `now`; returns the turn's latency in ms, or null when it answered nothing. */
  answered(now) {
    const latency = this.spokeAt === null ? null : now - this.spokeAt;
    this.spokeAt = null;
    return latency;
  }
}
