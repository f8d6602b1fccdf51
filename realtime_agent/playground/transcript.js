// What was said, item by item. No I/O: transcript-view.js draws it.

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {boolean} final
 * @property {boolean} interrupted
 */

export class Transcript {
  constructor() {
    /** @type {Map<string, Item>} by id, in the order of the conversation, which is that of their first messages */
    this.items = new Map();
  }

  /** Take a transcript message of the channel; return the item it made or changed. */
  apply({ item_id: id, role, delta, text, final = false, interrupted = false }) {
    const item = this.items.get(id) ?? { id, role, text: "", final: false, interrupted: false };
    this.items.set(id, item);
    if (final) Object.assign(item, { text, final, interrupted: item.interrupted || interrupted });
    else if (!item.final && delta) item.text += delta;
    return item;
  }
}
