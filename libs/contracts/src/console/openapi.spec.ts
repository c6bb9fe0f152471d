import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { openApiDocument } from './openapi.js';

const top = join(import.meta.dirname, '../../../..');
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string };

describe('the OpenAPI document', () => {
  const document = JSON.parse(JSON.stringify(openApiDocument(version))) as {
    readonly components: { readonly schemas: Record<string, unknown> };
  };

  it('is up to date; if not: npm run contracts', () => {
    expect(parse(readFileSync(join(top, 'docs/openapi.yaml'), 'utf8'))).toEqual(document);
  });

  it('has every schema that it refers to', () => {
    const named = [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name);
    expect(named.filter((name) => !Object.hasOwn(document.components.schemas, name ?? ''))).toEqual([]);
  });
});
