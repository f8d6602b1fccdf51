// What outlives a reload.

/** Texts kept for this tab alone. A browser that stores nothing loses only that. */
export class TabStorage {
  get(key) {
    try {
      return sessionStorage.getItem(`realtime-agent.${key}`);
    } catch {
      return null;
    }
  }

  set(key, value) {
    try {
      sessionStorage.setItem(`realtime-agent.${key}`, value);
    } catch {
      // nothing is kept
    }
  }

  remove(key) {
    try {
      sessionStorage.removeItem(`realtime-agent.${key}`);
    } catch {
      // nothing was kept
    }
  }
}
