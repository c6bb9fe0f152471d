/** Which extended attributes an image keeps, and the lines in the build's log about the others. */
import { CAPABILITY_ATTRIBUTE, capabilityText, type FileCapability } from '@plinth/contracts';

const MAX_NAMED = 20;

/** Counts attributes that were left out, by name; a program whose capability was left out is named. */
export class LeftOut {
  private readonly attributes = new Map<string, number>();
  private readonly programs: string[] = [];

  attribute(name: string): void {
    this.attributes.set(name, (this.attributes.get(name) ?? 0) + 1);
  }

  /** @param path in the image, without a leading slash */
  capability(path: string, capability: FileCapability): void {
    this.attribute(CAPABILITY_ATTRIBUTE);
    this.programs.push(`/${path} (${capabilityText(capability)})`);
  }

  /** Lines for the log; none when nothing was left out. */
  lines(): readonly string[] {
    const total = [...this.attributes.values()].reduce((sum, count) => sum + count, 0);
    if (total === 0) return [];
    const counts = [...this.attributes].sort(([a], [b]) => (a < b ? -1 : 1));
    const named = counts.slice(0, MAX_NAMED).map(([name, count]) => `${JSON.stringify(name.slice(0, 80))} ${count}`);
    const rest = counts.length > MAX_NAMED ? `, and ${counts.length - MAX_NAMED} more names` : '';
    const lines = [`extended attributes that images do not keep: ${total} (${named.join(', ')}${rest})`];
    if (this.programs.length > 0)
      lines.push(
        `file capabilities that containers do not have, left out so that the programs can be run at all: ` +
          this.programs.slice(0, MAX_NAMED).join(', ') +
          (this.programs.length > MAX_NAMED ? `, and ${this.programs.length - MAX_NAMED} more` : ''),
      );
    return lines;
  }
}

/**
 * Whether a container can run a program with this capability: the kernel refuses with EPERM to start one whose
 * effective capabilities are not all in the bounding set.
 * @param bounding names without `cap_`
 */
export function canRunWith({ effective, permitted }: FileCapability, bounding: ReadonlySet<string>): boolean {
  return !effective || permitted.every((name) => bounding.has(name));
}
