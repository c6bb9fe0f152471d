/** JSON from an untrusted source. */

/** @returns undefined when it is not UTF-8 or not JSON; no JSON text has this value */
export function parseDocument(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    // The calls above throw for no other reason.
    return undefined;
  }
}
