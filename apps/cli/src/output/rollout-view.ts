/** Rollouts for people: a table, the details of one, and its progress. */
import {
  QUERIES,
  type RolloutCounts,
  type RolloutDetails,
  type RolloutStatus,
  rolloutStatus,
  type RolloutSelection,
} from '@plinth/contracts';
import { escapeControls, escapeJson, memberPages, type PlinthClient, withAllMembers } from '@plinth/client';
import { type OutputOptions, printJson, printLine } from './print.js';
import type { List } from './list.js';
import { ageCell, PagedTable, table } from './table.js';

const LOOK_EVERY_MS = 1_000;
const BAR = 40;

export const ROLLOUTS: List<RolloutStatus> = {
  name: ({ id }) => id,
  columns: [
    { heading: 'ID', cell: ({ id }) => id.slice(0, 12) },
    { heading: 'STATE', cell: ({ state }) => state },
    { heading: 'TO', cell: ({ to }) => to },
    { heading: 'SELECTED', cell: ({ select }) => selectionText(select) },
    { heading: 'DONE', cell: (one) => ({ text: `${doneOf(one)}/${one.counts.total}`, by: doneOf(one) }) },
    { heading: 'FAILED', cell: ({ counts }) => counts.failed },
    { heading: 'BATCH', cell: batchText },
    { heading: 'WAITS FOR', cell: ({ wait }) => wait?.reason },
    { heading: 'SINCE', cell: ({ requestedAt }) => ageCell(requestedAt, Date.now()) },
  ],
};

/** What is known of it, then its containers, page by page as they come; for programs all in one object. */
export async function printRollout(options: OutputOptions, client: PlinthClient, one: RolloutDetails): Promise<void> {
  if (options.json) return printJson(await withAllMembers(client, one));
  printLine(`${describeRollout(one)}\n`);
  const shown = new PagedTable(['CONTAINER', 'TENANT', 'HOST', 'BATCH', 'PHASE', 'FROM', 'TO', 'REASON', 'MESSAGE']);
  for await (const members of memberPages(client, one))
    printLine(
      shown.page(
        members.map((member) => [
          member.name,
          member.tenant,
          member.host,
          member.batch === 0 && (one.request.canary ?? 1) > 0 ? 'canary' : member.batch,
          member.phase,
          member.from,
          member.to,
          member.reason,
          member.message?.slice(0, 100),
        ]),
      ),
    );
}

function describeRollout(one: RolloutDetails): string {
  const rows: [string, string | number | null | undefined][] = [
    ['rollout', one.id],
    ['state', one.state],
    ['to', one.to],
    ['selected', selectionText(one.select)],
    ['waits for', one.wait ? `${one.wait.reason}: ${one.wait.message}` : null],
    ['batch', batchText(one)],
    ['containers', countsText(one.counts)],
    ['began', one.requestedAt],
    ['ended', one.endedAt],
  ];
  return table(['WHAT', 'VALUE'], rows);
}

/**
 * Follows a rollout until it has ended: one block that moves on a terminal, a line per change elsewhere, a JSON line
 * per change for programs.
 */
export async function watchRollout(client: PlinthClient, id: string, json: boolean): Promise<RolloutDetails> {
  const changes = await client.facts([rolloutStatus(id)]);
  const screen = new Screen(json);
  try {
    for (let seen = 0; ;) {
      const details = await client.query(QUERIES.rollout, { id });
      screen.show(details);
      if (details.endedAt !== null) return details;
      let passed = 0;
      // Waits for a published change, and asks again after a while: a status may be missed while the client reconnects.
      await changes.within(() => passed++ >= seen, LOOK_EVERY_MS);
      seen = Math.max(seen, passed);
    }
  } finally {
    screen.end();
    changes.close();
  }
}

class Screen {
  private drawn = 0;
  private last = '';

  constructor(private readonly json: boolean) {}

  show(one: RolloutDetails): void {
    if (this.json)
      return this.once(`${escapeJson(JSON.stringify({ ...one, members: undefined, request: undefined }))}`);
    const { counts } = one;
    const waits = one.wait ? `  ${one.wait.reason}: ${one.wait.message}` : '';
    if (!process.stderr.isTTY)
      return this.once(escapeControls(`${one.state}  batch ${batchText(one)}  ${countsText(counts)}${waits}`));
    const failures = one.members.filter((member) => member.phase === 'failed').slice(-5);
    const lines = [
      `${one.state}  ${one.id.slice(0, 12)} to ${one.to}  batch ${batchText(one)}`,
      `[${bar(counts)}] ${doneOf(one)}/${counts.total}  ${countsText(counts)}`,
      ...(waits ? [waits] : []),
      ...failures.map(
        (member) =>
          `  failed: ${member.name} on ${member.host}: ${member.reason ?? ''} ${member.message?.slice(0, 80) ?? ''}`,
      ),
    ].map((line) => escapeControls(line).slice(0, (process.stderr.columns || 120) - 1));
    this.erase();
    process.stderr.write(`${lines.join('\n')}\n`);
    this.drawn = lines.length;
  }

  end(): void {
    this.erase();
  }

  private erase(): void {
    if (this.drawn > 0) process.stderr.write(`\u001b[${this.drawn}A\u001b[J`);
    this.drawn = 0;
  }

  private once(line: string): void {
    if (line === this.last) return;
    this.last = line;
    process.stderr.write(`${line}\n`);
  }
}

/** `#` updated, `!` failed, `>` in progress, `<` reverted, `-` skipped, `.` pending. */
export function bar(counts: RolloutCounts): string {
  const { total, updated, failed, skipped, switching, restoring, restored } = counts;
  let text = '';
  let sum = 0;
  for (const [count, mark] of [
    [updated, '#'],
    [restored, '<'],
    [failed, '!'],
    [skipped, '-'],
    [switching + restoring, '>'],
  ] as const) {
    sum += count;
    // Rounds the sum, not each part, so that the bar never exceeds its length.
    text = text.padEnd(Math.round((BAR * sum) / Math.max(1, total)), mark);
  }
  return text.padEnd(BAR, '.');
}

export function countsText(counts: RolloutCounts): string {
  const { total, ...phases } = counts;
  const parts = Object.entries(phases)
    .filter(([, count]) => count > 0)
    .map(([phase, count]) => `${count} ${phase}`);
  return `${total}: ${parts.join(', ') || 'none'}`;
}

function doneOf({ counts }: RolloutStatus): number {
  return counts.total - counts.pending - counts.switching - counts.restoring;
}

function batchText({ batch, batches }: RolloutStatus): string {
  return batch < 0 ? `none of ${batches}` : `${batch + 1} of ${batches}`;
}

function selectionText(select: RolloutSelection): string {
  return Object.entries(select)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join('+') : String(value)}`)
    .join(',');
}
