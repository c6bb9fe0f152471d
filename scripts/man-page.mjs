/** `npm run man`: writes man/plinth.1 from the help of the operator's tool. */
import { readFileSync, writeFileSync } from 'node:fs';
import 'reflect-metadata';
import { generatedPage } from '../apps/cli/build/man/generated.js';

const { version } = JSON.parse(readFileSync(new URL('../apps/cli/package.json', import.meta.url), 'utf8'));
writeFileSync(new URL('../man/plinth.1', import.meta.url), await generatedPage(version));
