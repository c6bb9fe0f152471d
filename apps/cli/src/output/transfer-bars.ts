/** One line for each node that fetches a version, drawn again in its place; nothing where there is no terminal. */
import { escapeControls, type NodeTransfer } from '@plinth/client';
import type { ImageTransfer } from '@plinth/contracts';
import { bytes } from './table.js';

const WIDTH = 30;
/** Nodes with a line of their own. */
const MOST = 16;

/** @returns a line for each node, and one for those that have none */
export function transferLines(nodes: readonly NodeTransfer[]): readonly string[] {
  const longest = Math.max(0, ...nodes.slice(0, MOST).map(({ node }) => node.length));
  const lines = nodes
    .slice(0, MOST)
    .map(({ node, transfer }) => `${escapeControls(node).padEnd(longest)}  ${lineOf(transfer)}`);
  return nodes.length > MOST ? [...lines, `and ${nodes.length - MOST} more`] : lines;
}

function lineOf(transfer: ImageTransfer | undefined): string {
  if (!transfer) return `[${'.'.repeat(WIDTH)}]   waits for its turn`;
  const share = transfer.ofBytes ? Math.min(transfer.bytes / transfer.ofBytes, 1) : 0;
  const full = Math.round(share * WIDTH);
  return `[${'#'.repeat(full)}${'.'.repeat(WIDTH - full)}]   ${describeTransfer(transfer)}`;
}

/** `12.0 MiB of 49.3 MiB from http://10.0.0.7:8090` */
export function describeTransfer({ bytes: done, ofBytes, source }: ImageTransfer): string {
  const of = ofBytes === undefined ? '' : ` of ${bytes(ofBytes)}`;
  const from = source !== undefined && URL.canParse(source) ? ` from ${new URL(source).origin}` : '';
  return escapeControls(`${bytes(done)}${of}${from}`);
}

export class TransferBars {
  private drawn = 0;

  constructor(private readonly stream: NodeJS.WriteStream = process.stderr) {}

  draw(nodes: readonly NodeTransfer[]): void {
    if (!this.stream.isTTY) return;
    this.clear();
    const lines = transferLines(nodes);
    // A terminal may not know how wide it is.
    const width = this.stream.columns || undefined;
    for (const line of lines) this.stream.write(`${line.slice(0, width)}\n`);
    this.drawn = lines.length;
  }

  clear(): void {
    if (this.drawn > 0) this.stream.write(`\x1b[${this.drawn}A\x1b[J`);
    this.drawn = 0;
  }
}
