// `npm run contracts`: writes docs/asyncapi.yaml and docs/schemas.json from the contracts.
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
