import { escapeControls } from '@plinth/client';

/** One line that moves on a terminal; plain lines, one per phase, elsewhere. */
export class ProgressBar {
  private phase = '';
  private readonly begin = performance.now();
  private drawn = false;

  constructor(
    private readonly label: string,
    private readonly stream: NodeJS.WriteStream = process.stderr,
  ) {}

  /** @param fraction 0 to 1 */
  update(fraction: number, reported: string): void {
    const phase = escapeControls(reported);
    const seconds = ((performance.now() - this.begin) / 1000).toFixed(1);
    if (this.stream.isTTY) {
      const width = 30;
      const full = Math.round(Math.min(Math.max(fraction, 0), 1) * width);
      this.stream.write(
        `\r\x1b[K${this.label}  [${'#'.repeat(full)}${'.'.repeat(width - full)}] ${String(Math.round(fraction * 100)).padStart(3)} %  ${phase}  ${seconds} s`,
      );
      this.drawn = true;
    } else if (phase !== this.phase) this.stream.write(`${this.label}: ${phase} (${seconds} s)\n`);
    this.phase = phase;
  }

  end(): void {
    if (this.drawn) this.stream.write('\r\x1b[K');
  }
}
