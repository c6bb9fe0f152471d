import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { generatedPage } from './generated.js';

const { version } = JSON.parse(readFileSync('apps/cli/package.json', 'utf8')) as { version: string };

it('is up to date: npm run man', async () => {
  expect(await generatedPage(version)).toBe(readFileSync('man/plinth.1', 'utf8'));
});
