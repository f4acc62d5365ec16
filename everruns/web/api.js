// A question to the service, and what became of it.

const PATIENCE = 20_000;

/** The service did not answer. */
export class Unreachable extends Error {}

/** The service answered with an error; `fields` names the arguments that were at fault. */
export class Refused extends Error {
  constructor(status, error, retryAfter) {
    super(error.message ?? `The service, or something before it, answered ${status}.`);
    this.status = status;
    this.fields = error.fields ?? {};
    this.requestId = error.request_id;
    this.retryAfter = Number(retryAfter) || 0;
  }
}

/**
 * GET `url` with the key, which goes into the header alone. With the `etag` of an earlier answer, null if nothing has changed.
 * Raises `Refused`, `Unreachable`, or the signal's AbortError.
 */
export async function get(url, key, etag, signal) {
  const stop = new AbortController();
  const abort = () => stop.abort();
  const timer = setTimeout(abort, PATIENCE);
  signal?.addEventListener("abort", abort);
  try {
    const headers = { Authorization: `Bearer ${key}`, ...(etag && { "If-None-Match": etag }) };
    const response = await fetch(url, { headers, cache: "no-store", credentials: "omit", signal: stop.signal });
    if (response.status === 304) return null;
    const text = await response.text();
    if (!response.ok) throw new Refused(response.status, parsed(text).error ?? {}, response.headers.get("Retry-After"));
    return { text, body: JSON.parse(text), etag: response.headers.get("ETag"), link: response.headers.get("Link") ?? "" };
  } catch (fault) {
    if (fault instanceof Refused || signal?.aborted) throw fault;
    throw new Unreachable("The service cannot be reached.", { cause: fault });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
