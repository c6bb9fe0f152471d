/** The AsyncAPI 3.0.0 document and the JSON Schemas, made from the catalogue. */
import { validationMetadatasToSchemas } from 'class-validator-jsonschema';
import { createRequire } from 'node:module';
import { CATALOGUE, type Contract } from './catalogue.js';

type Json = Record<string, unknown>;

/** class-transformer keeps what `@Type` said in a module that only its CommonJS build shares. */
const { defaultMetadataStorage } = createRequire(import.meta.url)('class-transformer/cjs/storage.js') as {
  defaultMetadataStorage: never;
};

/** JSON Schema (2020-12 keywords) of every payload and of what they nest, by class name. */
export function contractSchemas(refPrefix: string): Record<string, Json> {
  const schemas = validationMetadatasToSchemas({
    classTransformerMetadataStorage: defaultMetadataStorage,
    refPointerPrefix: refPrefix,
    additionalConverters: {
      isEnvironment: { type: 'object', additionalProperties: { type: 'string' } },
      isTimezone: { type: 'string', description: 'IANA time zone' },
      isWindowPattern: { type: 'string', description: 'Five fields as in crontab(5)' },
      isCommand: { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 256 },
    },
  }) as Record<string, Json>;
  // A class that adds nothing to its parent has no rules of its own to be found by.
  for (const { payload } of CATALOGUE) {
    const parent = Object.getPrototypeOf(payload) as { name: string };
    const inherited = schemas[parent.name];
    if (!(payload.name in schemas) && inherited) schemas[payload.name] = inherited;
  }
  return Object.fromEntries(
    Object.entries(schemas)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, schema]) => [name, { ...schema, additionalProperties: false }]),
  );
}

const channelName = (contract: Contract): string =>
  contract.subject
    .replaceAll('.*', '.{}')
    .replace(/[^a-z]+/g, '-')
    .replace(/-$/, '');

/** One parameter per wildcard, named by the token before it. */
function address(contract: Contract): { address: string; parameters: Json } {
  const tokens = contract.subject.split('.');
  const parameters: Json = {};
  const named = tokens.map((token, index) => {
    if (token !== '*') return token;
    const name = tokens[index - 1] ?? 'name';
    parameters[name] = { description: `Name or id of the ${name}` };
    return `{${name}}`;
  });
  return { address: named.join('.'), parameters };
}

export function asyncApiDocument(version: string): Json {
  const channels: Json = {};
  const operations: Json = {};
  const messages: Json = {};
  for (const contract of CATALOGUE) {
    const channel = channelName(contract);
    const message = contract.payload.name;
    const { address: path, parameters } = address(contract);
    messages[message] = {
      name: contract.subject,
      title: contract.summary,
      contentType: 'application/json',
      headers: { $ref: '#/components/schemas/CloudEventHeaders' },
      payload: { $ref: `#/components/schemas/${message}` },
    };
    channels[channel] = {
      address: path,
      title: contract.summary,
      description: `${contract.kind}; published by ${contract.publishers.join(', ')}${contract.consumers.length > 0 ? `; consumed by ${contract.consumers.join(', ')}` : ''}`,
      ...(Object.keys(parameters).length > 0 ? { parameters } : {}),
      messages: { [message]: { $ref: `#/components/messages/${message}` } },
    };
    operations[`on-${channel}`] = {
      action: 'send',
      channel: { $ref: `#/channels/${channel}` },
      summary: contract.summary,
    };
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Plinth',
      version,
      description:
        'Events and queries on NATS. Envelope: CloudEvents 1.0, binary mode; every header is optional on the way in.',
    },
    defaultContentType: 'application/json',
    channels,
    operations,
    components: {
      messages,
      schemas: {
        CloudEventHeaders: {
          type: 'object',
          properties: Object.fromEntries(
            ['ce-specversion', 'ce-id', 'ce-type', 'ce-source', 'ce-time', 'ce-correlationid', 'ce-causationid'].map(
              (name) => [name, { type: 'string' }],
            ),
          ),
        },
        ...contractSchemas('#/components/schemas/'),
      },
    },
  };
}
