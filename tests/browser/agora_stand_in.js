// Stands in for Agora's SDK: keeps what the page calls, and lets a test play the network.

const standIn = {
  calls: [], // [name, ...arguments]
  refuses: {}, // what a method throws, by its name
  hangs: [], // methods that never come to an end
  waits: [], // methods that come to an end when a test calls letGo()
  client: null,
  voice: null,

  /** Start an audio track of the agent's, which sounds when `loud` is 1. */
  makeVoice() {
    const context = new AudioContext();
    const gain = new GainNode(context, { gain: 0 });
    const end = new MediaStreamAudioDestinationNode(context);
    const tone = new OscillatorNode(context, { frequency: 440 });
    tone.connect(gain).connect(end);
    tone.start();
    return { gain, track: end.stream.getAudioTracks()[0], loud: (level) => (gain.gain.value = level) };
  },

  called(name) {
    return this.calls.filter(([called]) => called === name).map(([, ...rest]) => rest);
  },

  async call(name, ...rest) {
    this.calls.push([name, ...rest]);
    if (this.hangs.includes(name)) await new Promise(() => {});
    if (this.waits.includes(name)) await new Promise((resolve) => (this.letGo = resolve));
    if (this.refuses[name]) throw Object.assign(new Error(this.refuses[name].message), this.refuses[name]);
  },

  ...window.standInWishes,
};
window.standIn = standIn;

class Client {
  constructor() {
    this.listeners = {};
    standIn.client = this;
  }

  on(event, listener) {
    this.listeners[event] = listener;
  }

  removeAllListeners() {
    this.listeners = {};
  }

  emit(event, ...rest) {
    return this.listeners[event]?.(...rest);
  }

  join(...rest) {
    return standIn.call("join", ...rest);
  }

  publish(track) {
    return standIn.call("publish", track.kind);
  }

  async subscribe(user, kind) {
    await standIn.call("subscribe", user.uid, kind);
    standIn.voice = standIn.makeVoice();
    return {
      play: () => standIn.call("play"),
      on: (event, listener) => (standIn.voice[event] = listener),
      getMediaStreamTrack: () => standIn.voice.track,
    };
  }

  renewToken(token) {
    return standIn.call("renewToken", token);
  }

  leave() {
    return standIn.call("leave");
  }
}

window.AgoraRTC = {
  createClient: (options) => {
    standIn.call("createClient", options);
    return new Client();
  },
  createCustomAudioTrack: ({ mediaStreamTrack }) => {
    standIn.microphone = mediaStreamTrack;
    return { kind: mediaStreamTrack.kind, close: () => standIn.call("close") };
  },
  setLogLevel: (level) => standIn.call("setLogLevel", level),
  disableLogUpload: () => standIn.call("disableLogUpload"),
  setParameter: (name, value) => standIn.call("setParameter", name, value),
};
