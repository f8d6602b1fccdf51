// Listens to the agent where its sound is not played by us, and reports of it as player.js does.

import { FRAME, Tap } from "./tap.js";

const AUDIBLE = 0.004; // RMS, about -48 dBFS
const PAUSE = 15; // frames: 300 ms without audible sound end a stretch of speech

export class AgentSound {
  /**
   * @param {AudioContext} context
   * @param {MediaStreamTrack} track
   * @param {(report: object) => void} onPlayed  takes reports as player.js makes them
   */
  static async open(context, track, onPlayed) {
    const sound = new AgentSound(onPlayed);
    sound.tap = await Tap.open(context, new MediaStream([track]), ({ level }) => sound.take(level));
    return sound;
  }

  constructor(onPlayed) {
    this.onPlayed = onPlayed;
    this.samples = 0;
    this.energy = 0;
    this.quiet = PAUSE;
  }

  take(level) {
    const playing = level > 0;
    if (playing) this.samples += FRAME;
    this.energy += FRAME * level ** 2;
    this.quiet = level > AUDIBLE ? 0 : this.quiet + 1;
    const { samples, energy } = this;
    this.onPlayed({ position: samples, fill: 0, samples, energy, level, playing, speaking: this.quiet < PAUSE });
  }

  close() {
    this.tap.close();
    this.onPlayed({ position: this.samples, fill: 0, samples: this.samples, energy: this.energy, level: 0, playing: false, speaking: false });
  }
}
