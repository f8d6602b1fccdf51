// The live stream of the agent's events. The browser comes back by itself when the connection is lost.

const TYPES = [
  "state", "transcript", "speech", "interrupted", "turn", "tool_call", "tool_output", "command", "agent_error", "connection",
  "usage", "recording", "ended", "missed", "dropped",
];

export class EventFeed {
  /** @param {(event: object) => void} onEvent  is given each event once, in order */
  constructor(channelName, onEvent) {
    this.source = new EventSource(`/agents/${encodeURIComponent(channelName)}/events`);
    for (const type of TYPES) {
      this.source.addEventListener(type, ({ data }) => onEvent({ type, ...JSON.parse(data) }));
    }
    this.source.addEventListener("ended", () => this.close()); // nothing comes after it
  }

  close() {
    this.source.close();
  }
}

/** An event in a few words, for a list; null for what the page shows elsewhere. */
export function eventInWords(event) {
  const { type, role } = event;
  const who = role === "user" ? "You" : "Agent";
  switch (type) {
    case "state": return `Agent is ${event.state}${event.by ? `, by ${event.by}` : ""}`;
    case "speech": return `${who} ${event.speaking ? "began to speak" : "stopped speaking"}`;
    case "transcript": return event.final && event.text ? `${who}: ${event.text}` : null;
    case "interrupted": return `Cut by ${event.by}${event.after_ms === undefined ? "" : ` after ${Math.round(event.after_ms)} ms`}`;
    case "turn": return `Answered ${Math.round(event.first_frame_ms)} ms after the last word (${Math.round(event.silence_ms)} ms of it silence)`;
    case "tool_call": return `Calls ${event.name} ${event.arguments}`;
    case "tool_output": return `${event.name} gave ${event.output} after ${Math.round(event.took_ms)} ms`;
    case "command": return event.error ? `${event.command} failed: ${event.error}` : `${event.command} done`;
    case "agent_error": return `Error ${event.code}: ${event.message}`;
    case "connection": return `Connection to the ${event.to} ${event.status}${event.cause ? `: ${event.cause}` : ""}`;
    case "usage": return `${event.usage.total_tokens} tokens so far`;
    case "recording": return `Recorded as ${event.file}`;
    case "ended": return `Ended: ${event.reason}`;
    case "missed": return `${event.count} earlier events are not kept any more`;
    case "dropped": return event.reason;
    default: return type;
  }
}
