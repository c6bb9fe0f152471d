import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { CATALOGUE } from '../index.js';
import { asyncApiDocument, contractSchemas } from './asyncapi.js';

const top = join(import.meta.dirname, '../../../..');
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string };
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('the published contracts', () => {
  it('are up to date; if not: npm run contracts', () => {
    expect(parse(readFileSync(join(top, 'docs/asyncapi.yaml'), 'utf8'))).toEqual(plain(asyncApiDocument(version)));
    expect(JSON.parse(readFileSync(join(top, 'docs/schemas.json'), 'utf8'))).toEqual(
      plain({ $defs: contractSchemas('#/$defs/') }),
    );
  });

  it('make a valid AsyncAPI 3 document', () => {
    const schema = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json') as object;
    const ajv = new Ajv({ meta: false, validateSchema: false, strict: false, validateFormats: false });
    const valid = ajv.validate(schema, asyncApiDocument(version));
    expect(ajv.errors).toBeNull();
    expect(valid).toBe(true);
  });

  it('has a schema for every payload, each subject once', () => {
    const schemas = contractSchemas('#/$defs/');
    for (const contract of CATALOGUE) expect(Object.keys(schemas)).toContain(contract.payload.name);
    expect(new Set(CATALOGUE.map((contract) => contract.subject)).size).toBe(CATALOGUE.length);
  });
});
