// The line to a channel of Agora SD-RTN: its SDK carries and plays the audio, and brings the agent's messages.

import { loadSdk } from "./agora-sdk.js";
import { AgoraVoice } from "./agora-voice.js";
import { endOfConnection, refusalInWords } from "./agora-words.js";
import { ApiError, findAgent, requestToken } from "./api.js";
import { CLOSED, closeInWords } from "./channel.js";
import { Assembler, asTranscript } from "./data-stream.js";
import { within } from "./within.js";

const STEP_TIMEOUT_MS = 15_000; // the SDK itself tries for ever
const CHECK_EVERY_MS = 5_000;
const RENEW_AGAIN_MS = 5_000; // the SDK asks for a token 30 s before the last one expires

export class AgoraLine {
  /** See openLine in call.js. */
  static async open(token, { context, microphone }, handlers, signal) {
    handlers.onStep("Loading Agora's SDK…");
    const sdk = await loadSdk(signal);
    const agent = await findAgent(token.channel_name, signal);
    if (agent.state === "ended") throw new ApiError(404, closeInWords(CLOSED.ENDED, agent.reason));
    handlers.onStep("Connecting to Agora…");
    const line = new AgoraLine(sdk, token, agent, context, handlers);
    try {
      await within(line.join(), STEP_TIMEOUT_MS, signal);
    } catch (error) {
      line.close();
      signal.throwIfAborted();
      throw new Error(refusalInWords(error), { cause: error });
    }
    if (!line.closed) line.speak(microphone.track);
    return line;
  }

  constructor(sdk, token, agent, context, handlers) {
    this.sdk = sdk;
    this.token = token;
    this.agent = agent; // as the server told, with the state that was told last
    this.agentThere = null; // not known before it is seen
    this.connected = true;
    this.voiceFailure = "";
    this.context = context;
    this.handlers = handlers;
    this.assembler = new Assembler();
    this.joined = false;
    this.closed = false;
    this.soundBlocked = false;
    this.statesTold = 0;
    this.framesSent = 0;
    this.framesDropped = 0; // the SDK does not tell
    this.client = sdk.createClient({ mode: "rtc", codec: "vp8" });
    this.voice = new AgoraVoice(this.client, context, {
      onPlayed: handlers.onPlayed,
      onFailure: (words) => this.learn({ voiceFailure: words }),
    });
    this.subscribeToEvents();
  }

  subscribeToEvents() {
    const { client } = this;
    const isAgent = (uid) => uid === this.agent.uid;
    const ofAgent = (act) => (user, ...rest) => isAgent(user.uid) && act(user, ...rest);
    client.on("stream-message", (uid, bytes) => isAgent(uid) && this.receive(bytes));
    client.on("user-joined", ofAgent(() => this.presence(true)));
    client.on("user-left", ofAgent(() => this.presence(false)));
    client.on("user-published", ofAgent((user, kind) => kind === "audio" && this.voice.hear(user)));
    client.on("user-unpublished", ofAgent((_user, kind) => kind === "audio" && this.voice.unhear()));
    client.on("connection-state-change", (state, _before, reason) => this.connection(state, reason));
    client.on("token-privilege-will-expire", () => this.renewToken());
    client.on("token-privilege-did-expire", () => this.connection("DISCONNECTED", "TOKEN_EXPIRE"));
    this.sdk.onAutoplayFailed = () => this.blocked();
  }

  async join() {
    const { app_id: appId, channel_name: channelName, token, uid } = this.token;
    await this.client.join(appId, channelName, token || null, uid);
    if (this.closed) return;
    if (this.agent.state === "ended") {
      this.finish(CLOSED.ENDED, this.agent.reason);
      return;
    }
    this.joined = true;
    this.checking = setInterval(() => this.checkAgain(), CHECK_EVERY_MS);
    const heard = [null, uid].includes(this.agent.user_uid);
    this.handlers.onJoined({ channel_name: channelName, uid, heard, state: this.agent.state, position: 0 });
    this.learn({});
    if (!this.agentThere) this.check(); // it may have ended before we could see it leave
  }

  /** Publish the microphone. */
  async speak(track) {
    try {
      this.microphone = this.sdk.createCustomAudioTrack({ mediaStreamTrack: track });
      await within(this.client.publish(this.microphone), STEP_TIMEOUT_MS);
      this.published = true;
    } catch (error) {
      this.finish("PUBLISH", "", refusalInWords(error, "Your voice does not get through to Agora"));
    }
  }

  /** Take a frame of the microphone. It is only counted: the SDK has the microphone's track. */
  sendAudio() {
    if (this.published) this.framesSent += 1;
  }

  receive(bytes) {
    const message = this.assembler.add(bytes);
    if (!message) return;
    const transcript = asTranscript(message);
    if (transcript) this.handlers.onTranscript(transcript);
    else if (message.type === "listening") this.handlers.onListening(message);
    else if (message.type === "state") {
      this.statesTold += 1;
      this.agentState(message);
    }
  }

  agentState({ state, reason }) {
    Object.assign(this.agent, { state, reason });
    if (!this.joined) return; // join() will tell
    if (state === "ended") this.finish(CLOSED.ENDED, reason);
    else this.handlers.onState({ state, reason });
  }

  presence(isThere) {
    this.learn({ agentThere: isThere });
    if (!isThere) this.check();
  }

  /** Whether a message may have been lost that would have told more. */
  get isDoubtful() {
    return !this.agentThere || this.agent.state !== "active";
  }

  async checkAgain() {
    this.voice.retry();
    if (!this.isDoubtful) return;
    await this.check();
    if (this.agentThere === null) this.learn({ agentThere: false });
  }

  /** Ask the server for the agent's state. */
  async check() {
    const { statesTold } = this;
    const gone = { uid: null, state: "ended", reason: null };
    const answer = await findAgent(this.token.channel_name).catch((error) => (error.status === 404 ? gone : null));
    if (this.closed || answer === null || this.statesTold !== statesTold) return; // what the agent itself told is newer
    const agent = answer.uid === this.agent.uid ? answer : gone;
    if (agent.state !== this.agent.state) this.agentState(agent);
  }

  connection(state, reason) {
    if (!this.joined) return; // joining fails by itself
    if (state === "DISCONNECTED") this.finish(...endOfConnection(reason));
    if (state === "RECONNECTING") this.learn({ connected: false });
    if (state === "CONNECTED") {
      this.learn({ connected: true });
      this.check();
    }
  }

  /** Take what is known now, and tell what it means for the call. */
  learn(facts) {
    Object.assign(this, facts);
    if (this.joined && !this.closed) this.handlers.onTrouble(this.hindrance);
  }

  /** What stands between the user and the agent; nothing, mostly. */
  get hindrance() {
    if (!this.connected) return "The connection to Agora was lost. Trying again…";
    if (this.agentThere === false) return "The agent is not in the channel.";
    return this.voiceFailure;
  }

  async renewToken() {
    if (this.renewing) return;
    this.renewing = true;
    while (!this.closed && !(await this.takeNewToken())) await new Promise((resolve) => setTimeout(resolve, RENEW_AGAIN_MS));
    this.renewing = false;
  }

  async takeNewToken() {
    try {
      const { token } = await requestToken(this.token.channel_name, this.token.uid);
      await this.client.renewToken(token);
      return true;
    } catch {
      return false;
    }
  }

  blocked() {
    this.soundBlocked = true;
    this.handlers.onSound(false);
  }

  resume() {
    if (!this.soundBlocked) return;
    this.soundBlocked = false;
    this.voice.play();
    this.handlers.onSound(this.context.state === "running");
  }

  leave() {
    this.finish(CLOSED.LEFT, "left");
  }

  finish(code, reason, words = closeInWords(code, reason)) {
    if (this.closed) return;
    this.close();
    this.handlers.onClose(code, reason, words);
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.checking);
    this.sdk.onAutoplayFailed = undefined;
    this.client.removeAllListeners();
    this.voice.unhear();
    this.microphone?.close();
    this.client.leave().catch(() => {}); // it is over either way
  }
}
