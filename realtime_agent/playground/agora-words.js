// What Agora's errors mean for the person at the page.

import { CLOSED, closeInWords } from "./channel.js";

/** Why Agora refused something; `what` it was is said where the reason is not known. */
export function refusalInWords({ name, code, message }, what = "Agora did not let this page in") {
  const said = `${name} ${code} ${message}`;
  const known = REFUSALS.find(([pattern]) => pattern.test(said));
  return known ? known[1] : `${what}: ${message}.`;
}

/** By what the SDK says; its codes alone are coarse. */
const REFUSALS = [
  [/TimeoutError|NETWORK_/, "Agora did not answer. Is this browser's way to the internet open, for WebRTC too? Join again to try again."],
  [/vendor key|invalid appid/, "Agora does not know the AGORA_APP_ID of this server."],
  [/dynamic use static key/, "This project of Agora's lets users in with a token only: the server needs its AGORA_APP_CERT."],
  [/static use dynamic key/, "This project of Agora's knows no tokens: the server must have no AGORA_APP_CERT."],
  [/dynamic key.*(timeout|expired)|TOKEN_EXPIRE/, "Agora says that the server's token is too old. Is the server's clock right?"],
  [/invalid token/, "Agora did not accept the server's token. Does its AGORA_APP_CERT belong to its AGORA_APP_ID?"],
  [/UID_CONFLICT/, "Somebody is in this channel under the same number. Join again to get in."],
];

/** How a call ends with the connection: a close code (Agora's own reason where we have none), the reason, and words. */
export function endOfConnection(reason = "NETWORK_ERROR") {
  const code = reason === "UID_CONFLICT" ? CLOSED.REPLACED : reason;
  return [code, reason, ENDS[reason] ?? closeInWords(code, "")];
}

const AGAIN = "Join again to continue the same conversation.";
const ENDS = {
  NETWORK_ERROR: `The connection to Agora was lost. ${AGAIN}`,
  SERVER_ERROR: `Agora closed the connection after an error. ${AGAIN}`,
  TOKEN_EXPIRE: `The token for Agora expired before this server gave another one. ${AGAIN}`,
  UID_BANNED: "The project at Agora has banned this user from the channel.",
  IP_BANNED: "The project at Agora has banned this address from the channel.",
  CHANNEL_BANNED: "The project at Agora has banned this channel.",
};
