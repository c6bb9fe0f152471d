// `npm run contracts`: writes docs/asyncapi.yaml, docs/schemas.json and docs/openapi.yaml from the contracts.
import { readFileSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { asyncApiDocument, contractSchemas } from '@plinth/contracts/asyncapi';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
writeFileSync(
  new URL('../docs/asyncapi.yaml', import.meta.url),
  stringify(asyncApiDocument(version), { lineWidth: 0, aliasDuplicateObjects: false }),
);
writeFileSync(
  new URL('../docs/schemas.json', import.meta.url),
  `${JSON.stringify({ $defs: contractSchemas('#/$defs/') }, null, 2)}\n`,
);
// Afterwards: the classes of the console's API are known to the generator from here on.
const { openApiDocument } = await import('@plinth/contracts/console');
writeFileSync(
  new URL('../docs/openapi.yaml', import.meta.url),
  stringify(openApiDocument(version), { lineWidth: 0, aliasDuplicateObjects: false }),
);
