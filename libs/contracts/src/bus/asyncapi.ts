/** The AsyncAPI 3.0.0 document and the JSON Schemas, made from the catalogue. */
import { validationMetadatasToSchemas } from 'class-validator-jsonschema';
import { contractClasses, nestedType, nullableFields } from '../nested.js';
import { CONTRACTS } from './catalogue.js';
import type { Contract } from './contract.js';

type Json = Record<string, unknown>;

/** The schema generator asks this for the classes of fields; it answers for nested fields only. */
const NESTED_TYPES = {
  findTypeMetadata: (target: unknown, property: string) => {
    const type = nestedType(target, property);
    return type && { typeFunction: type };
  },
  getExposedMetadatas: () => [],
  findExcludeMetadata: () => undefined,
};

/** JSON Schema (2020-12 keywords) of every payload and reply and of what they nest, by class name. */
export function contractSchemas(refPrefix: string): Record<string, Json> {
  const schemas = validationMetadatasToSchemas({
    classTransformerMetadataStorage: NESTED_TYPES as never,
    refPointerPrefix: refPrefix,
    additionalConverters: {
      isEnvironment: { type: 'object', additionalProperties: { type: 'string' } },
      isTimezone: { type: 'string', description: 'IANA time zone' },
      isWindowPattern: { type: 'string', description: 'Five fields as in crontab(5)' },
      isNetwork: { type: 'string', description: 'A network in CIDR form' },
      isPortRanges: { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 15 },
      areReportedAddresses: {
        type: 'array',
        maxItems: 16,
        items: { type: 'string', description: 'An IPv4 or IPv6 address' },
      },
      isHostAddress: { type: 'string', description: 'An IPv4 or IPv6 address' },
      isPublishableAddress: {
        type: 'string',
        description: 'An IPv4 or IPv6 address, neither loopback, link-local nor multicast',
      },
      // Rules about more than one field.
      needsContainerNetwork: {},
      arePortsDistinct: {},
      hasRulesForList: {},
      hasValuesAsNeeded: {},
      namesGroup: {},
      areLabels: {
        type: 'object',
        additionalProperties: { type: 'string' },
        description: 'Labels by their keys',
        maxProperties: 64,
      },
      isIpv4: { type: 'string', format: 'ipv4' },
      isIpv6: { type: 'string', format: 'ipv6' },
      isCommand: { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 256 },
    },
  }) as Record<string, Json>;
  const classes = new Set([
    ...CONTRACTS.flatMap(({ payload, reply }) => (reply ? [payload, reply.item] : [payload])),
    ...contractClasses(),
  ]);
  for (const contractClass of classes) {
    // A class that adds nothing to its parent has no rules of its own to be found by.
    const parent = Object.getPrototypeOf(contractClass) as { name: string };
    const schema = (schemas[contractClass.name] ??= schemas[parent.name] ?? { type: 'object', properties: {} });
    const properties = schema.properties as Record<string, Json>;
    for (const field of nullableFields(contractClass)) properties[field] = orNull(properties[field]);
  }
  return Object.fromEntries(
    Object.entries(schemas)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, schema]) => [name, { ...schema, additionalProperties: false }]),
  );
}

function orNull(schema: Json | undefined): Json {
  return Array.isArray(schema?.anyOf) ? schema : { anyOf: [schema, { type: 'null' }] };
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

function replySchema(item: string, isList: boolean): Json {
  const data = { $ref: `#/components/schemas/${item}` };
  return {
    oneOf: [
      {
        type: 'object',
        required: ['ok', 'data'],
        properties: { ok: { const: true }, data: isList ? { type: 'array', items: data } : data },
      },
      {
        type: 'object',
        required: ['ok', 'reason', 'message'],
        properties: { ok: { const: false }, reason: { type: 'string' }, message: { type: 'string' } },
      },
    ],
  };
}

export function asyncApiDocument(version: string): Json {
  const channels: Json = {};
  const operations: Json = {};
  const messages: Json = {};
  for (const contract of CONTRACTS) {
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
      ...(contract.reply ? { reply: { channel: { $ref: `#/channels/${channel}-reply` } } } : {}),
    };
    if (!contract.reply) continue;
    const { item, isList } = contract.reply;
    const answer = `${item.name}${isList ? 'List' : ''}Reply`;
    messages[answer] = {
      title: `Answer to ${contract.subject}`,
      contentType: 'application/json',
      payload: replySchema(item.name, isList),
    };
    // The asker names the reply subject.
    channels[`${channel}-reply`] = {
      address: null,
      title: `Answer: ${contract.summary}`,
      messages: { [answer]: { $ref: `#/components/messages/${answer}` } },
    };
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Plinth',
      version,
      description:
        'Events and queries on NATS. Envelope: CloudEvents 1.0, binary mode; every header is optional on the way in. ' +
        'A field that is null means the same as one that is absent.',
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
