import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { permissionTable } from './permission-table.js';

it('stands in docs/security.md as it is', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../../docs/security.md'), 'utf8');
  const [, table] = /<!-- plinth access table -->\n([^]*?)<!-- end -->/.exec(text) ?? [];
  // Made with: plinth access table
  expect(table).toBe(permissionTable());
});
