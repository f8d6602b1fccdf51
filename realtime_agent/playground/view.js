// What the page shows: state, notice, controls, levels. It decides nothing.

import { EventList } from "./event-list.js";
import { TranscriptView } from "./transcript-view.js";

const STATES = {
  idle: ["Not connected", ""],
  joining: ["Joining", ""],
  starting: ["Starting", "The agent is getting ready."],
  connecting: ["Starting", "The agent is getting ready."],
  waiting: ["Waiting", "The agent waits for its user."],
  active: ["Active", "Speak, the agent is listening."],
  paused: ["Paused", "Say “Hey agent, start”, or press Resume."],
  ended: ["Ended", ""],
};
const QUIET_DB = -60;

export class View {
  constructor(document) {
    this.root = document.documentElement;
    const element = (id) => document.getElementById(id);
    this.stateName = element("state-name");
    this.stateDetail = element("state-detail");
    this.inChannel = element("in-channel");
    this.noticeBox = element("notice");
    this.noticeText = element("notice-text");
    this.form = element("join-form");
    this.channel = element("channel");
    this.controls = element("controls");
    this.muteButton = element("mute");
    this.pauseButton = element("pause");
    this.pushToTalkButton = element("push-to-talk");
    this.talkButton = element("talk");
    this.leaveButton = element("leave");
    this.endButton = element("end");
    this.latency = element("latency");
    this.you = element("you");
    this.micMeter = element("mic-meter");
    this.agentMeter = element("agent-meter");
    this.empty = element("empty");
    this.transcript = new TranscriptView(element("transcript"), element("conversation"));
    this.focusIsByKey = true;
    this.eventsBox = element("events-box");
    this.events = new EventList(element("events"), element("last-event"));
    element("notice-dismiss").addEventListener("click", () => this.notice(""));
  }

  /** @param {{join, mute, pause, pushToTalk, press, release, toggle, leave, end}} actions  what the controls do */
  bind(actions) {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      actions.join();
    });
    this.muteButton.addEventListener("click", actions.mute);
    this.pauseButton.addEventListener("click", actions.pause);
    this.pushToTalkButton.addEventListener("click", actions.pushToTalk);
    this.talkButton.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.talkButton.setPointerCapture(event.pointerId);
      actions.press();
    });
    for (const end of ["pointerup", "pointercancel"]) this.talkButton.addEventListener(end, actions.release);
    // Not as :focus-visible, which any key turns on for what was clicked before.
    document.addEventListener("pointerdown", () => (this.focusIsByKey = false));
    document.addEventListener("keydown", ({ key }) => key === "Tab" && (this.focusIsByKey = true), true);
    this.talkButton.addEventListener("click", ({ detail }) => detail === 0 && actions.toggle()); // without a pointer
    document.addEventListener("keydown", (event) => {
      if (!this.talksBy(event)) return;
      event.preventDefault(); // no button is pressed by it then
      if (!event.repeat) actions.press();
    });
    document.addEventListener("keyup", (event) => {
      if (event.code !== "Space" || this.talkButton.hidden) return;
      if (this.talksBy(event)) event.preventDefault();
      actions.release();
    });
    window.addEventListener("blur", actions.release); // no key is seen to be let go in another window
    this.leaveButton.addEventListener("click", actions.leave);
    this.endButton.addEventListener("click", actions.end);
  }

  /** Whether a key lets the user talk: the space bar, unless it would press what they have gone to with the keyboard. */
  talksBy({ code, ctrlKey, altKey, metaKey }) {
    if (code !== "Space" || ctrlKey || altKey || metaKey || this.talkButton.hidden) return false;
    const focused = document.activeElement;
    return focused === this.talkButton || !this.focusIsByKey || !focused?.matches("a, button, input, summary");
  }

  /** @param {boolean} troubled  whether the state says less than it should */
  state(state, detail, troubled = false) {
    const inCall = !["idle", "ended"].includes(state);
    const focusLost = this.controls.contains(document.activeElement) || this.form.contains(document.activeElement);
    const switched = this.form.hidden !== inCall;
    this.root.dataset.state = state;
    this.root.dataset.troubled = String(troubled);
    const [name, explanation] = STATES[state] ?? [state, ""]; // a state of a later version is no error
    this.stateName.textContent = name;
    this.stateDetail.textContent = detail ?? explanation;
    this.inChannel.textContent = inCall ? `Channel ${this.channel.value.trim()}` : "";
    this.empty.querySelector("p").textContent = inCall ? "Say something." : "Join the channel and say something.";
    this.form.hidden = inCall;
    this.controls.hidden = !inCall;
    const isJoined = inCall && state !== "joining";
    this.pauseButton.hidden = this.pushToTalkButton.hidden = !isJoined;
    this.pauseButton.textContent = state === "paused" ? "Resume" : "Pause";
    this.eventsBox.hidden = !isJoined && !this.events.list.childElementCount;
    if (!inCall) this.pushToTalk(false);
    this.muteButton.hidden = !isJoined || !this.talkButton.hidden;
    this.leaveButton.textContent = state === "joining" ? "Cancel" : "Leave";
    if (switched && focusLost) (inCall ? this.leaveButton : document.getElementById("join")).focus();
  }

  /** Whether an agent may be running that the user could end. */
  endable(possible) {
    this.endButton.hidden = !possible;
  }

  /** @param {string} text  empty to take the notice away; @param {"error" | "info"} kind */
  notice(text, kind = "error") {
    this.noticeBox.hidden = !text;
    this.noticeBox.dataset.kind = kind;
    this.noticeText.textContent = text;
  }

  muted(muted) {
    this.muteButton.querySelector(".label").textContent = muted ? "Unmute" : "Mute";
    this.root.dataset.muted = String(muted);
    this.you.textContent = muted ? "You (muted)" : "You";
  }

  /** Whether the user speaks only while they hold a button. */
  pushToTalk(isOn) {
    this.talkButton.hidden = !isOn;
    this.muteButton.hidden = isOn;
    this.pushToTalkButton.setAttribute("aria-pressed", String(isOn));
    if (isOn && document.activeElement === this.pushToTalkButton) this.talkButton.focus();
  }

  talking(isTalking) {
    this.root.dataset.talking = String(isTalking);
    this.talkButton.textContent = isTalking ? "Let go to send" : "Hold to talk";
  }

  levels({ mic, agent }) {
    if (mic !== undefined) this.micMeter.style.setProperty("--level", meterScale(mic));
    if (agent !== undefined) this.agentMeter.style.setProperty("--level", meterScale(agent));
  }

  turn(latencyMs) {
    this.latency.textContent = latencyMs === null ? "" : `Answered in ${(latencyMs / 1000).toFixed(1)} s`;
  }

  said(item) {
    this.empty.hidden = true;
    this.transcript.show(item);
  }

  clearTranscript() {
    this.empty.hidden = false;
    this.transcript.clear();
  }
}

/** An RMS level as a share of the meter, linear in decibels. */
function meterScale(level) {
  const decibels = 20 * Math.log10(Math.max(level, 1e-6));
  return Math.max(0, Math.min(1, 1 - decibels / QUIET_DB)).toFixed(3);
}
