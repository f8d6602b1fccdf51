// Brings our code to the audio thread.

/** @throws {Error} with a message for the person at the page; the browsers' own says only that something was aborted */
export async function addWorklet(context, name) {
  try {
    await context.audioWorklet.addModule(`/static/${name}.js`);
  } catch (cause) {
    throw new Error(`The server at ${location.host} can't be reached, or the page is incomplete (${name}).`, { cause });
  }
}
