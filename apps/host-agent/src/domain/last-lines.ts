/** The last lines of an output, while it is read from its beginning. Pure. */
import type { LogLine } from './conmon-log.js';

export class LastLines {
  private readonly kept: LogLine[] = [];
  private bytes = 0;
  private first = 0;

  /** @param mostBytes of their texts: fewer lines are kept where they are longer */
  constructor(
    private readonly most: number,
    private readonly mostBytes: number,
  ) {}

  push(lines: readonly LogLine[]): void {
    for (const line of lines) {
      this.kept.push(line);
      this.bytes += line.text.length;
      while (
        this.first < this.kept.length &&
        (this.kept.length - this.first > this.most || this.bytes > this.mostBytes)
      )
        this.bytes -= this.kept[this.first++]?.text.length ?? 0;
    }
    this.kept.splice(0, this.first);
    this.first = 0;
  }

  get lines(): readonly LogLine[] {
    return this.kept;
  }
}
