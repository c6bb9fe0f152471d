import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { CompiledFilter } from './compiled-filter.js';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'plinth-filter-'));
});

afterEach(() => rmSync(root, { recursive: true }));

function withFilter(id: string, content: Buffer): string {
  mkdirSync(join(root, id));
  writeFileSync(join(root, id, 'seccomp.bpf'), content);
  return id;
}

it('keeps the first filter that is whole', () => {
  const filter = new CompiledFilter();
  filter.keep(root, 'none');
  filter.keep(root, withFilter('empty', Buffer.alloc(0)));
  filter.keep(root, withFilter('torn', Buffer.alloc(12)));
  expect(filter.annotations()).toBeUndefined();
  filter.keep(root, withFilter('first', Buffer.alloc(8, 1)));
  filter.keep(root, withFilter('second', Buffer.alloc(8, 2)));
  expect(filter.annotations()).toEqual({ 'run.oci.seccomp_bpf_data': Buffer.alloc(8, 1).toString('base64') });
});
