// What was said, item by item. No I/O: transcript-view.js draws it.

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {boolean} final
 * @property {boolean} interrupted
 * @property {string | null | undefined} after  the item it follows; null for the first, undefined when not told
 */

export class Transcript {
  constructor() {
    /** @type {Item[]} in the order of the conversation, which is not always that of arrival */
    this.items = [];
  }

  /** Take a transcript message of the channel; return the item it made or changed. */
  apply({ item_id: id, role, delta, text, final = false, interrupted = false, after }) {
    let item = this.items.find((known) => known.id === id);
    if (!item) {
      item = { id, role, text: "", final: false, interrupted: false, after };
      this.items.splice(this.place(item), 0, item);
    }
    if (final) Object.assign(item, { text, final, interrupted: item.interrupted || interrupted });
    else if (!item.final && delta) item.text += delta;
    return item;
  }

  /** Where a new item belongs: behind the one it follows, or before one that follows it. */
  place({ id, after }) {
    const previous = this.items.findIndex((known) => known.id === after);
    if (previous >= 0) return previous + 1;
    const next = this.items.findIndex((known) => known.after === id);
    if (next >= 0) return next;
    return after === null ? 0 : this.items.length;
  }
}
