/** Text from the system on its way to a terminal: control characters are shown, not obeyed. */

/** Tabs and line breaks stay; everything else below 32, DEL and the C1 controls become `\x1b` and the like. */
export function escapeControls(text: string): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex -- exactly these are replaced
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** JSON text that holds no control character but line breaks: it stays valid JSON with the same meaning. */
export function escapeJson(json: string): string {
  return json.replace(/[\u007f-\u009f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
