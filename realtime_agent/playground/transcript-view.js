// Draws a Transcript: one block an item.

const WHO = { user: "You", assistant: "Agent" };
const NEAR_END_PX = 80;

export class TranscriptView {
  /** @param {HTMLElement} log  the live region that holds the items; @param {HTMLElement} scroller  what scrolls it */
  constructor(log, scroller) {
    this.log = log;
    this.scroller = scroller;
    this.blocks = new Map();
  }

  clear() {
    this.blocks.clear();
    this.log.replaceChildren();
  }

  /** Draw an item that was made or changed. */
  show(item) {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    const block = this.blocks.get(item.id) ?? this.append(item);
    block.classList.toggle("partial", !item.final);
    block.classList.toggle("interrupted", item.interrupted);
    block.setAttribute("aria-busy", String(!item.final)); // read out once, when whole
    block.querySelector(".text").textContent = item.text || (item.final && item.role === "user" ? "(not understood)" : "…");
    block.querySelector(".mark").hidden = !item.interrupted;
    if (atEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  append(item) {
    const block = build("div", `item ${item.role}`, [
      build("span", "who", [WHO[item.role] ?? item.role]),
      build("p", "text", []),
      build("span", "mark", ["— interrupted"]),
    ]);
    block.dataset.itemId = item.id;
    this.log.append(block);
    this.blocks.set(item.id, block);
    return block;
  }
}

function build(tag, className, children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}
