/** Where a person goes on after a sign-in: a view of this console, never another site. Pure. */

const MOST_LENGTH = 1_000;
/** Printable ASCII, as browsers write addresses; no backslash, which they read as a slash. */
const LOCAL = /^\/(?![/\\])[!-[\]-~]*$/;
const ANY_BASE = 'http://console.invalid';

/** @returns undefined when it leads elsewhere or to no view */
export function localPath(text: string): string | undefined {
  if (text.length > MOST_LENGTH || !LOCAL.test(text) || !URL.canParse(text, ANY_BASE)) return undefined;
  const { origin, pathname, search } = new URL(text, ANY_BASE);
  // Dots may have led to what begins with two slashes.
  const isView = !pathname.startsWith('//') && !/^\/(?:api|sign-in)(?:\/|$)/.test(pathname);
  return origin === ANY_BASE && isView ? pathname + search : undefined;
}
