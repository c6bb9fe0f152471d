/** A line of output as text that is safe to show: nothing in it moves, colours, hides or turns anything. Pure. */

// ECMA-48: CSI, OSC and other strings up to their end, two-character escapes.
const SEQUENCES =
  // oxlint-disable-next-line no-control-regex -- exactly these are left out
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|\u001b[\]PX^_][^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)|\u001b[ -/]*[0-Z\\-~]/g;
// oxlint-disable-next-line no-control-regex -- C0 but tab, DEL, C1; marks that turn the direction of what follows
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Escape sequences are left out; other control characters become `\x07` or `\u202e`; a return at the end is none. */
export function shownText(text: string): string {
  return text
    .replace(/\r+$/, '')
    .replace(SEQUENCES, '')
    .replace(CONTROLS, (character) => {
      const code = character.charCodeAt(0).toString(16);
      return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u${code.padStart(4, '0')}`;
    });
}
