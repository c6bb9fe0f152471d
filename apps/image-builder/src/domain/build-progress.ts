/** The progress of a build: phases with their share of the whole, and the progress in the output of package tools. */

const SHARES = [
  ['queued', 0],
  ['bootstrap', 0.5],
  ['customise', 0.12],
  ['clean', 0.02],
  ['manifest', 0.05],
  ['archive', 0.12],
  ['publish', 0.02],
  ['unpack', 0.05],
  ['boot', 0.04],
  ['test', 0.08],
] as const;
export type Phase = (typeof SHARES)[number][0];

/** @param within 0 to 1, of this phase; @returns 0 to 1, of build and test together */
export function fractionOf(phase: Phase, within: number): number {
  let before = 0;
  for (const [name, share] of SHARES) {
    if (name === phase) return Math.round((before + share * Math.min(Math.max(within, 0), 1)) * 1000) / 1000;
    before += share;
  }
  return 1;
}

/** Turns lines of apt, dpkg and mmdebstrap into a fraction that never decreases. */
export class PackageProgress {
  private expected = 0;
  private steps = 0;
  private reached = 0;

  /** @returns 0 to 1 */
  line(text: string): number {
    const newly = /(\d+) (?:newly installed|to install)/.exec(text);
    if (newly) this.expected += Number(newly[1]);
    else if (/^(?:Get:\d+|Unpacking|Setting up) /.test(text)) this.steps++;
    // Until the number of packages is known, lists are being fetched. Each package is fetched, unpacked and set up.
    const done = this.expected === 0 ? 0 : this.steps / (this.expected * 3 + 6);
    this.reached = Math.max(this.reached, Math.min(0.02 * Math.min(this.steps, 3) + 0.94 * done, 0.99));
    return this.reached;
  }
}
