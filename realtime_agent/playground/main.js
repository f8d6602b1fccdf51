// The page: joins the controls to a call, and keeps an account of it for tests (window.realtimeAgent).

import { controlAgent, stopAgent } from "./api.js";
import { Call } from "./call.js";
import { CLOSED, endInWords } from "./channel.js";
import { EventFeed } from "./event-feed.js";
import { microphoneGranted } from "./microphone.js";
import { PushToTalk } from "./push-to-talk.js";
import { TabStorage } from "./tab-storage.js";
import { Transcript } from "./transcript.js";
import { View } from "./view.js";

const SOUND_DELAY_MS = 500; // a browser that allows sound has started it by then
const BLOCKED = "The browser holds sound back until you click. Click anywhere, or press a key, to hear the agent and be heard.";

class Playground {
  constructor(view, storage, { channel, processing }) {
    this.view = view;
    this.storage = storage;
    this.processing = processing;
    this.transcript = new Transcript();
    this.call = null;
    this.joining = null;
    this.feed = null;
    this.pushToTalk = null;
    this.muted = false;
    this.agentEnded = false;
    this.transcriptOf = null; // the channel whose conversation is shown
    this.facts = newFacts();
    view.channel.value = channel ?? storage.get("joined") ?? "demo";
    view.bind({
      join: () => this.join(),
      mute: () => this.mute(!this.muted),
      pause: () => this.control(this.facts.state === "paused" ? "resume" : "pause"),
      pushToTalk: () => this.switchPushToTalk(),
      press: () => this.talk(true),
      release: () => this.talk(false),
      toggle: () => this.talk(!this.facts.talking),
      leave: () => this.leave(),
      end: () => this.end(),
    });
    for (const gesture of ["pointerdown", "keydown"]) document.addEventListener(gesture, () => this.call?.resume());
    this.state("idle");
  }

  /** After a reload: go on with the conversation, or offer to. */
  async restore() {
    const joined = this.storage.get("joined");
    if (joined === null || joined !== this.view.channel.value) return;
    if (await microphoneGranted()) await this.join();
    else this.view.notice("You were in this channel before the page was loaded again. Join to continue.", "info");
  }

  async join() {
    if (this.call || this.joining) return;
    const channelName = this.view.channel.value.trim();
    this.joining = new AbortController();
    this.view.notice("");
    this.state("joining");
    try {
      const wish = { channelName, uid: Number(this.storage.get("uid") ?? 0), processing: this.processing };
      Object.assign(this.facts, { closeCode: null, trouble: "" });
      this.facts.channelName = channelName;
      const call = await Call.join(wish, this.callHandlers(), this.joining.signal);
      if (this.facts.closeCode === null) this.call = call; // else it closed while it opened
    } catch (error) {
      this.state("idle");
      if (!this.joining.signal.aborted) this.failed(error);
    } finally {
      this.joining = null;
    }
  }

  callHandlers() {
    return {
      onStep: (step) => this.state("joining", step),
      onJoined: (message) => this.joined(message),
      onListening: ({ uid }) => this.listening(uid),
      onState: ({ state, reason }) => this.agentState(state, reason),
      onTranscript: (message) => this.said(message),
      onTrouble: (words) => this.trouble(words),
      onClose: (...end) => this.closed(...end),
      onMicrophone: (level) => this.microphone(level),
      onPlayed: (report) => this.played(report),
      onLatency: (latency) => this.answered(latency),
      onMicrophoneLost: () => this.failed(new Error("The microphone was disconnected. Leave, then join with another.")),
      onSound: (running) => this.sound(running),
    };
  }

  joined({ channel_name: channelName, uid, heard, state, position }) {
    this.storage.set("uid", uid);
    this.storage.set("joined", channelName);
    Object.assign(this.facts, { uid, heard, position });
    this.pushToTalk = new PushToTalk({
      control: (command, fields) => controlAgent(channelName, command, fields),
      mute: (muted) => this.mute(muted),
      isMuted: () => this.muted,
      holdBack: (isHeldBack) => this.call?.holdBack(isHeldBack),
      isPaused: () => this.facts.state === "paused",
    });
    this.mute(false);
    this.view.turn(null);
    if (this.freshStart) this.clear();
    this.watch(channelName);
    if (this.storage.get("pushToTalk") !== null) this.switchPushToTalk(); // as before the page was loaded again
    this.agentState(state, null);
    this.view.endable(true);
    setTimeout(() => this.call && this.sound(this.call.soundRuns), SOUND_DELAY_MS);
  }

  /** The next joining is a new conversation, so what was said before is of another. */
  get freshStart() {
    return this.agentEnded || this.transcriptOf !== this.facts.channelName;
  }

  clear() {
    this.agentEnded = false;
    this.transcriptOf = this.facts.channelName;
    this.transcript.items.clear();
    this.facts.transcripts = [];
    this.view.clearTranscript();
  }

  /** Show what happens to the agent. */
  watch(channelName) {
    this.feed?.close();
    this.view.events.clear();
    this.facts.events = [];
    this.feed = new EventFeed(channelName, (event) => {
      this.facts.events.push(event.type);
      this.view.events.show(event);
    });
  }

  /** Ask something of the agent; what goes wrong is shown. */
  async control(command, fields) {
    try {
      return await controlAgent(this.facts.channelName, command, fields);
    } catch (error) {
      this.failed(error);
    }
  }

  async switchPushToTalk() {
    const { pushToTalk } = this;
    try {
      await pushToTalk.turnOn(!pushToTalk.isOn);
    } catch (error) {
      this.failed(error);
    }
    if (pushToTalk.isOn) this.storage.set("pushToTalk", "on");
    else this.storage.remove("pushToTalk");
    if (this.pushToTalk !== pushToTalk) return; // they have left meanwhile
    this.facts.pushToTalk = pushToTalk.isOn;
    this.view.pushToTalk(pushToTalk.isOn);
    this.showTalking();
  }

  showTalking() {
    this.facts.talking = this.pushToTalk?.isHeld ?? false;
    this.view.talking(this.facts.talking);
  }

  async talk(isTalking) {
    if (!this.pushToTalk?.isOn) return;
    const done = isTalking ? this.pushToTalk.press() : this.pushToTalk.release();
    if (!isTalking) this.call?.finished();
    this.showTalking();
    try {
      await done;
    } catch (error) {
      this.failed(error);
    }
  }

  /** The agent hears this user from now on, or another. */
  listening(uid) {
    this.facts.heard = uid === this.facts.uid;
    this.agentState(this.facts.state, this.facts.reason);
  }

  agentState(state, reason) {
    if (state === "ended") {
      this.agentEnded = true;
      this.state("ended", endInWords(reason), reason);
    } else {
      this.facts.state = state;
      this.state(state, this.hindrance, reason);
    }
  }

  /** What stands between this user and the agent, until it is told that nothing does any more. */
  trouble(words) {
    this.facts.trouble = words;
    this.agentState(this.facts.state, this.facts.reason);
  }

  /** Why the agent does not hear this user, or undefined when it does. */
  get hindrance() {
    if (this.facts.trouble) return this.facts.trouble;
    if (!this.facts.heard) return "The agent listens to someone else in this channel.";
    // What ends a pause comes first.
    if (this.facts.state === "paused") return this.pushToTalk?.isOn ? "Hold the button and say “Hey agent, start”, or press Resume." : undefined;
    if (this.pushToTalk?.isOn) return "Hold the button or the space bar while you talk.";
    return this.muted ? "You are muted." : undefined;
  }

  state(state, detail, reason = null) {
    Object.assign(this.facts, { state, reason });
    this.view.state(state, detail, Boolean(this.facts.trouble));
  }

  said(message) {
    const item = this.transcript.apply(message);
    this.facts.transcripts = [...this.transcript.items.values()];
    this.view.said(item);
  }

  microphone(level) {
    this.facts.micLevel = level;
    if (this.call) Object.assign(this.facts, { framesSent: this.call.line.framesSent, framesDropped: this.call.line.framesDropped });
    this.view.levels({ mic: level });
  }

  played({ position, samples, energy, level, playing, speaking, fill }) {
    const shown = playing ? level : 0;
    Object.assign(this.facts, { position, samplesPlayed: samples, playedEnergy: energy, buffered: fill });
    Object.assign(this.facts, { playedRms: shown, agentSpeaking: speaking });
    this.view.levels({ agent: shown });
  }

  answered(latency) {
    this.facts.turnLatenciesMs.push(latency);
    this.view.turn(latency);
  }

  sound(running) {
    this.facts.soundBlocked = !running;
    if (!running) this.view.notice(BLOCKED, "info");
    else if (this.view.noticeText.textContent === BLOCKED) this.view.notice("");
  }

  mute(muted) {
    this.muted = this.facts.muted = muted;
    this.call?.mute(muted);
    this.view.muted(muted);
    if (this.call) this.agentState(this.facts.state, this.facts.reason);
  }

  leave() {
    if (this.joining) this.joining.abort();
    if (this.pushToTalk?.isOn) this.switchPushToTalk(); // whoever comes next expects to be heard
    this.call?.leave();
  }

  async end() {
    try {
      await stopAgent(this.facts.channelName);
      this.agentEnded = true;
      this.view.endable(false);
      if (!this.call) this.state("ended", endInWords("stopped"), "stopped");
    } catch (error) {
      this.failed(error);
    }
  }

  closed(code, reason, words) {
    this.call = null;
    if (code !== CLOSED.ENDED) this.feed?.close(); // else it tells how the agent ended
    this.pushToTalk = null;
    this.facts.pushToTalk = false;
    this.showTalking();
    Object.assign(this.facts, { closeCode: code, trouble: "" });
    this.view.levels({ mic: 0, agent: 0 });
    // An abnormal close leaves the wish to be here standing, so that a reload joins again.
    if ([CLOSED.LEFT, CLOSED.REPLACED, CLOSED.ENDED].includes(code)) {
      for (const wish of ["joined", "pushToTalk"]) this.storage.remove(wish);
    }
    if (code === CLOSED.ENDED) {
      this.agentState("ended", this.facts.state === "ended" ? this.facts.reason : reason);
      this.view.endable(false);
    } else if (this.facts.state !== "ended") {
      this.state("idle", code === CLOSED.LEFT ? "You left; the agent stays for a short while." : "");
    }
    if (![CLOSED.LEFT, CLOSED.ENDED].includes(code)) this.failed(new Error(words));
  }

  failed(error) {
    this.facts.errors.push(error.message);
    this.view.notice(error.message);
  }
}

/**
 * What can be measured about the page, as window.realtimeAgent. `state`: idle, joining, waiting, active, paused, ended.
 * `samplesPlayed`, `playedEnergy` (the sum of their squares, full scale = 1) and `playedRms` (of the last 50 ms) are
 * of sound really handed to the loudspeaker, in 24 kHz samples; `position` is the channel's count.
 */
function newFacts() {
  return {
    state: "idle",
    reason: null,
    channelName: null,
    uid: null,
    heard: null,
    trouble: "",
    muted: false,
    closeCode: null,
    soundBlocked: null,
    position: 0,
    samplesPlayed: 0,
    playedEnergy: 0,
    playedRms: 0,
    buffered: 0,
    agentSpeaking: false,
    micLevel: 0,
    framesSent: 0,
    framesDropped: 0,
    pushToTalk: false,
    talking: false,
    events: [],
    turnLatenciesMs: [],
    transcripts: [],
    errors: [],
  };
}

const query = new URLSearchParams(location.search);
const playground = new Playground(new View(document), new TabStorage(), {
  channel: query.get("channel"),
  processing: query.get("processing") !== "off",
});
window.realtimeAgent = playground.facts;
playground.restore();
