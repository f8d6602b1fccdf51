// A bound on what may never come.

/**
 * What a promise gives, unless it takes longer than `timeout` (ms; 0 is for ever) or `signal` gives it up.
 * @throws {DOMException} a TimeoutError, or the signal's reason
 */
export function within(promise, timeout, signal) {
  return new Promise((resolve, reject) => {
    const timer = timeout && setTimeout(() => reject(new DOMException(`it took more than ${timeout} ms`, "TimeoutError")), timeout);
    const giveUp = () => reject(signal.reason);
    if (signal?.aborted) giveUp();
    signal?.addEventListener("abort", giveUp, { once: true });
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
