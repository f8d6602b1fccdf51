// The list of what happened last.

import { eventInWords } from "./event-feed.js";

const MAX_SHOWN = 200;

export class EventList {
  constructor(list, summary) {
    this.list = list;
    this.summary = summary;
  }

  show(event) {
    const words = eventInWords(event);
    if (words === null) return;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    const row = document.createElement("li");
    row.dataset.type = event.type;
    const time = document.createElement("time");
    time.textContent = event.at === undefined ? "" : new Date(event.at * 1000).toLocaleTimeString(undefined, { hour12: false });
    const text = document.createElement("span");
    text.textContent = words;
    row.append(time, text);
    this.list.append(row);
    while (this.list.childElementCount > MAX_SHOWN) this.list.firstElementChild.remove();
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
    this.summary.textContent = words;
  }

  clear() {
    this.list.replaceChildren();
    this.summary.textContent = "";
  }
}
