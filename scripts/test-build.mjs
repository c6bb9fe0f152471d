// Before the first test file: integration and end-to-end tests run the compiled services. Once, and not by each file: two compilers at once get in each other's way.
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';

const top = resolve(import.meta.dirname, '..');

export default function build() {
  execFileSync(process.execPath, [resolve(top, 'node_modules/typescript-7/bin/tsc'), '-b', top], { stdio: 'inherit' });
}
