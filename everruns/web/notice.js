// Error message above the table, with a button to retry.

import { byId, onClick, setText } from "./dom.js";
import { ApiError } from "./api.js";
import { clockTime, sentence } from "./format.js";

export class Notice {
  constructor({ onRetry }) {
    onClick(byId("notice").querySelector("button"), onRetry);
  }

  /** Show an error. `shownSince` is when the sessions still shown were received, if any; `retryAt` the time of the next request. */
  show(error, { shownSince, retryAt }) {
    const isInvalidRequest = error.status === 400; // its message may begin with the name of an argument
    const parts = [isInvalidRequest ? error.message : sentence(error.message)];
    if (!(error instanceof ApiError)) parts.push("You may be offline, or the service is down.");
    if (error.status >= 500 && error.requestId) parts.push(`Request ${error.requestId}.`);
    if (shownSince) parts.push(`These sessions are from ${clockTime(shownSince)}.`);
    if (!isInvalidRequest) parts.push(`Next retry at ${clockTime(retryAt)}.`);
    setText(byId("notice").querySelector("p"), parts.join(" "));
    byId("notice").hidden = false;
  }

  hide() {
    byId("notice").hidden = true;
  }
}
