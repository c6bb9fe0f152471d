/** Aligned columns for people. */
import { escapeControls } from '@plinth/client';

/** What is shown, and what it is sorted by: the bytes of `11.8 MiB`, the time of `3 min`. */
export interface Valued {
  readonly text: string;
  readonly by: number | string | null;
}
export type Cell = string | number | null | undefined | Valued;

/** @returns one line per row under a heading, columns two spaces apart; `-` for an absent value */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return new PagedTable(headings).page(rows);
}

/** A table whose rows come in pages. Columns are as wide as the widest cell so far. */
export class PagedTable {
  private readonly widths: number[];
  private isBegun: boolean;

  /** @param isHeaded false: without the headings */
  constructor(
    private readonly headings: readonly string[],
    isHeaded = true,
  ) {
    this.widths = headings.map(({ length }) => (isHeaded ? length : 0));
    this.isBegun = !isHeaded;
  }

  /** @returns the lines of a page; those of the first one are under the headings */
  page(rows: readonly (readonly Cell[])[]): string {
    const cells = rows.map((row) => row.map(textOf));
    for (const row of cells)
      for (const [column, { length }] of row.entries())
        this.widths[column] = Math.max(this.widths[column] ?? 0, length);
    const lines = this.isBegun ? cells : [this.headings, ...cells];
    this.isBegun = true;
    return lines
      .map((row) =>
        row
          .map((cell, column) => cell.padEnd(this.widths[column] ?? 0))
          .join('  ')
          .trimEnd(),
      )
      .join('\n');
  }
}

function textOf(given: Cell): string {
  const cell = given !== null && typeof given === 'object' ? given.text : given;
  return cell === null || cell === undefined || cell === ''
    ? '-'
    : escapeControls(String(cell)).replaceAll(/[\n\t]/g, ' ');
}

/** `1 container`, `2 containers`; @param many where it is not `one` and an s */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** 12345678 → `11.8 MiB` */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return '-';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let amount = value;
  let unit = 0;
  for (; amount >= 1024 && unit < units.length - 1; unit++) amount /= 1024;
  return `${unit === 0 ? amount : amount.toFixed(1)} ${units[unit]}`;
}

/** {@link bytes}, sorted by the number. */
export function sizeCell(value: number | null | undefined): Valued {
  return { text: bytes(value), by: value ?? null };
}

/** {@link age}, sorted by how long ago it was. */
export function ageCell(iso: string | null, now: number): Valued {
  return { text: age(iso, now), by: iso === null ? null : now - Date.parse(iso) };
}

/** Time since then: `12 s`, `3 min`, `5 h`, `2 d`. */
export function age(iso: string | null, now: number): string {
  if (!iso) return '-';
  const seconds = Math.max(0, Math.round((now - Date.parse(iso)) / 1000));
  if (Number.isNaN(seconds)) return '-';
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`;
}
