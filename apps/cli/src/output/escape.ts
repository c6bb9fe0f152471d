/** Text from the system on its way to a terminal: control characters are shown, not obeyed. */
export function escapeControls(text: string): string {
  // oxlint-disable-next-line no-control-regex -- exactly these are replaced
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
