// The agent's voice in a channel of Agora SD-RTN: its SDK plays it, and we measure it.

import { AgentSound } from "./agent-sound.js";

export class AgoraVoice {
  /**
   * @param {object} client  the SDK's, in a channel
   * @param {AudioContext} context
   * @param {{onPlayed: (report: object) => void, onFailure: (words: string) => void}} handlers  onFailure with no words
   *   once the voice comes through
   */
  constructor(client, context, handlers) {
    this.client = client;
    this.context = context;
    this.handlers = handlers;
    this.publication = null; // a voice that was offered and not taken away
    this.track = null; // the SDK's, once subscribed
    this.failed = false;
  }

  /** The agent publishes its voice: let it be heard. */
  async hear(user) {
    const publication = (this.publication = { user });
    this.failed = false;
    try {
      const track = await this.client.subscribe(user, "audio");
      if (this.publication !== publication) return; // taken away meanwhile
      this.track = track;
      track.play();
      track.on("track-updated", () => this.measure());
      this.handlers.onFailure("");
    } catch (error) {
      if (this.publication !== publication) return;
      this.failed = true;
      this.handlers.onFailure(`The agent's voice does not come through (${error.code ?? error.message}). Trying again…`);
      return;
    }
    await this.measure();
  }

  /** Try again what failed. */
  async retry() {
    if (this.failed) await this.hear(this.publication.user);
  }

  /** It is published no more. */
  unhear() {
    this.publication = this.track = null;
    this.failed = false;
    this.sound?.close();
    this.sound = null;
    this.handlers.onFailure("");
  }

  /** Sound again, which the browser had withheld. */
  play() {
    this.track?.play();
  }

  async measure() {
    const media = this.track?.getMediaStreamTrack();
    if (!media) return;
    const sound = await AgentSound.open(this.context, media, this.handlers.onPlayed).catch(() => null); // it is heard all the same
    if (this.track?.getMediaStreamTrack() !== media) {
      sound?.close();
      return;
    }
    this.sound?.close();
    this.sound = sound;
  }
}
