// Push-to-talk: the user's turn lasts as long as they hold a button, and the agent answers when they let go.

const TAIL_MS = 200; // what was said last is still on its way when they let go

export class PushToTalk {
  /**
   * @param {object} hands
   *   control(command, fields): asks something of the agent, by HTTP; mute(muted), isMuted(): the microphone;
   *   holdBack(isHeldBack): whether what the microphone hears waits, to be sent all at once; isPaused(): the agent
   * @param {(milliseconds: number) => Promise<void>} sleep
   */
  constructor({ control, mute, isMuted, holdBack, isPaused }, sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))) {
    this.control = control;
    this.mute = mute;
    this.isMuted = isMuted;
    this.holdBack = holdBack;
    this.isPaused = isPaused;
    this.sleep = sleep;
    this.isOn = false;
    this.isHeld = false;
    this.wasMuted = false; // before it was turned on
    this.ending = null; // what is about to end the turn, since they have let go
    this.turn = Promise.resolve();
  }

  /** Let the user's button end their turns, or the agent's own turn detection. */
  turnOn(isOn) {
    return this.next(async () => {
      await this.control("update_turn_detection", { new_turn_detection: !isOn });
      if (isOn) this.wasMuted = this.isMuted();
      Object.assign(this, { isOn, isHeld: false, ending: null });
      this.mute(isOn || this.wasMuted);
      this.holdBack(false);
    });
  }

  /** The user begins to talk: whatever the agent says is cut, and what the microphone heard before is forgotten. */
  press() {
    if (!this.isOn || this.isHeld) return this.turn;
    this.isHeld = true;
    if (this.ending) {
      this.ending = null; // their finger has slipped: the turn goes on
      return this.turn;
    }
    this.mute(false);
    this.holdBack(true); // or their first words would be forgotten too
    return this.next(async () => {
      try {
        await this.control("interrupt");
        await this.control("clear_audio_buffer");
      } finally {
        this.holdBack(false);
      }
    });
  }

  /** The user has finished: what they said becomes a message, and is answered, unless it may only end a pause. */
  release() {
    if (!this.isOn || !this.isHeld) return this.turn;
    this.isHeld = false;
    const ending = (this.ending = {});
    let answer;
    const committed = this.next(async () => {
      await this.sleep(TAIL_MS);
      if (this.ending !== ending) return;
      this.ending = null;
      this.mute(true);
      await this.control("commit_audio_buffer");
      // Told when the model begins, which nobody who wants to say more should wait for.
      if (!this.isPaused()) answer = this.control("create_response");
    });
    return committed.then(() => answer);
  }

  /** One after the other, whatever came of those before. */
  next(step) {
    this.turn = this.turn.catch(() => {}).then(step);
    return this.turn;
  }
}
