/** JSON from a stranger. */

/** @returns undefined when it is not UTF-8 or not JSON: text that means undefined does not exist */
export function parseDocument(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    // The two calls above throw for no other reason.
    return undefined;
  }
}
