/** The OpenAPI 3.1 document of the console's API, made from its operations and classes. */
import { contractSchemas } from '../bus/asyncapi.js';
import { CONSOLE_API, type Operation } from './api.js';
import { Problem } from './answers/index.js';
import { IDEMPOTENCY_KEY_PATTERN, MAX_WHY_LENGTH } from './requests.js';

type Json = Record<string, unknown>;

const PREFIX = '#/components/schemas/';
const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'Becomes the id of the event: the same key twice is one act',
  schema: { type: 'string', pattern: IDEMPOTENCY_KEY_PATTERN.source },
};
const WITHOUT_SESSION: readonly string[] = [
  'beginSession',
  'listSignInWays',
  'beginProviderSignIn',
  'endProviderSignIn',
  'endProviderSession',
];
const LINE_TYPES = ['text/plain', 'application/x-ndjson', 'text/event-stream'];
const TEXT = { schema: { type: 'string' } };
const ref = (name: string): Json => ({ $ref: `${PREFIX}${name}` });

export function openApiDocument(version: string): Json {
  const schemas = contractSchemas(PREFIX);
  const paths: Record<string, Json> = {};
  for (const operation of CONSOLE_API)
    paths[operation.path] = { ...paths[operation.path], [operation.method]: describe(operation, schemas) };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Plinth console',
      version,
      description:
        'Errors are problem details (RFC 9457) with the reason code of the system in `reason`. What is another ' +
        "tenant's is not there for a developer: 404, and no number counts it.",
    },
    servers: [{ url: '/api/v1' }],
    security: [{ session: [] }, { token: [] }],
    paths,
    components: {
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: 'plinth-console' },
        token: { type: 'http', scheme: 'bearer' },
      },
      schemas: Object.fromEntries(Object.entries(schemas).filter(([name]) => reachable(paths, schemas).has(name))),
    },
  };
}

function describe(
  { id, path, summary, query, body, without = [], answer, isAct = false, reasons = [] }: Operation,
  schemas: Record<string, Json>,
): Json {
  const parameters = [
    ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: { type: 'string' },
    })),
    ...Object.entries((query && (schemas[query.name]?.properties as Record<string, Json>)) ?? {}).map(
      ([name, schema]) => ({ name, in: 'query', schema }),
    ),
    ...(isAct ? [IDEMPOTENCY_KEY] : []),
  ];
  const content = (type: string, schema: Json): Json => ({ content: { [type]: { schema } } });
  const ok: Json =
    answer === undefined
      ? { 204: { description: 'Done' } }
      : answer === 'stream'
        ? { 200: { description: 'Events', ...content('text/event-stream', { type: 'string' }) } }
        : answer === 'redirect'
          ? { 303: { description: 'Location has the address' } }
          : answer === 'lines'
            ? { 200: { description: 'Lines', content: Object.fromEntries(LINE_TYPES.map((type) => [type, TEXT])) } }
            : {
                200: { description: isAct ? 'Its outcome' : summary, ...content('application/json', ref(answer.name)) },
                ...(isAct
                  ? {
                      202: {
                        description: 'It is on its way; Location names it',
                        ...content('application/json', ref(answer.name)),
                      },
                    }
                  : {}),
              };
  const codes = ['invalid-request', 'not-signed-in', 'role-not-allowed', 'unavailable', ...reasons];
  return {
    operationId: id,
    summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body
      ? {
          requestBody: {
            required: !isAct,
            ...content('application/json', isAct ? actBody(schemas[body.name] ?? {}, without) : ref(body.name)),
          },
        }
      : {}),
    ...(WITHOUT_SESSION.includes(id) ? { security: [] } : {}),
    responses: {
      ...ok,
      default: {
        description: `Refused: ${codes.join(', ')}`,
        ...content('application/problem+json', ref(Problem.name)),
      },
    },
  };
}

/** The request as its contract has it, without what the path names, and with the person's reason. */
function actBody(schema: Json, without: readonly string[]): Json {
  const { properties, required, ...rest } = schema as { properties?: Json; required?: string[] };
  const left = (required ?? []).filter((name) => !without.includes(name));
  return {
    ...rest,
    properties: {
      ...Object.fromEntries(Object.entries(properties ?? {}).filter(([name]) => !without.includes(name))),
      reason: { type: 'string', maxLength: MAX_WHY_LENGTH, description: 'Why, for the record' },
    },
    ...(left.length > 0 ? { required: left } : {}),
  };
}

/** Names of the schemas that something leads to. */
function reachable(paths: object, schemas: Record<string, Json>): ReadonlySet<string> {
  const found = new Set<string>();
  const follow = (value: unknown): void => {
    for (const [, name = ''] of JSON.stringify(value).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g))
      if (!found.has(name)) {
        found.add(name);
        follow(schemas[name] ?? {});
      }
  };
  follow(paths);
  return found;
}
