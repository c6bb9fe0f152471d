/** From parsed YAML (mappings as Map) to a checked recipe; every mistake at once, each with its path. */
import {
  ENV_NAME_PATTERN,
  environmentProblem,
  isTimezone,
  MANIFEST_LIMITS,
  NAME_PATTERN,
  type Problem,
} from '@plinth/contracts';
import { readPlaces } from './recipe-places.js';
import { Fields, join, listOf, matching, Problems, readArgv, textOf } from './recipe-fields.js';
import { filePathProblem, parseMode } from './recipe-paths.js';
import { readProcess } from './recipe-process.js';
import { readSource } from './recipe-source.js';
import type { Recipe, RecipeFile, RecipeTest } from './recipe.js';

export type ParsedRecipe =
  | { readonly ok: true; readonly recipe: Recipe }
  | { readonly ok: false; readonly name?: string; readonly problems: readonly Problem[] };

const KEYS = [
  'name',
  'description',
  'from',
  'packages',
  'files',
  'run',
  'auth',
  'timezone',
  'env',
  'writable',
  'mountScript',
  'entrypoint',
  'command',
  'init',
  'workingDirectory',
  'user',
  'stopSignal',
  'exposedPorts',
  'privileges',
  'tests',
  'sourceDateEpoch',
] as const;
/** `name`, `name:architecture`, `name=version`; a trailing `-` would make apt remove the package. */
const PACKAGE = /^[a-z0-9][a-z0-9+.-]*[a-z0-9+.](?::[a-z0-9]+(?:-[a-z0-9]+)?)?(?:=[A-Za-z0-9.+:~-]{1,128})?$/;
const OWNER = /^([a-z_][a-z0-9_-]{0,31}|\d{1,5}):([a-z_][a-z0-9_-]{0,31}|\d{1,5})$/;
const DEFAULT_TEST_SECONDS = 60;

export function parseRecipe(document: unknown): ParsedRecipe {
  const problems = new Problems();
  const fields = Fields.read(document, '', KEYS, problems);
  if (!fields) return { ok: false, problems: problems.list };
  fields.required('name');
  fields.required('from');
  const name = fields.text(
    'name',
    matching(NAME_PATTERN, 'must be a DNS label: at most 63 of a-z, 0-9 and -, not at its ends'),
  );
  fields.text('description', (text) => (text.length > 2_000 ? 'must be at most 2,000 characters' : undefined));
  const source = fields.has('from') ? readSource(fields.raw('from'), 'from', problems) : undefined;
  const recipe: Omit<Recipe, 'name' | 'source'> = {
    packages: readPackages(fields),
    files: uniquePaths(
      fields.list('files', 1_000, (item, path) => readFile(item, path, problems)),
      problems,
    ),
    run: fields.list('run', 200, (item, path) => readCommand(item, path, problems)),
    auth: readAuth(fields),
    timezone: fields.text('timezone', (text) =>
      isTimezone(text) ? undefined : 'must be an IANA time zone such as Europe/Vienna',
    ),
    env: readEnvironment(fields),
    writable: fields.has('writable') ? readPlaces(fields) : undefined,
    mountScript: fields.text('mountScript', scriptProblem),
    ...readProcess(fields),
    tests: readTests(fields),
    sourceDateEpoch: fields.integer('sourceDateEpoch', 0, MANIFEST_LIMITS.mtime),
  };
  if (problems.list.length > 0 || name === undefined || source === undefined)
    return { ok: false, name, problems: problems.list };
  return { ok: true, recipe: { name, source, ...recipe } };
}

function readPackages(parent: Fields): Recipe['packages'] {
  const { problems } = parent;
  const fields = parent.has('packages')
    ? Fields.read(parent.raw('packages'), 'packages', ['add', 'remove'], problems)
    : undefined;
  if (!fields) return { add: [], remove: [] };
  const item = (value: unknown, path: string): string | undefined =>
    textOf(value, path, problems, matching(PACKAGE, 'must be a package name, such as curl or curl=7.88.1-10'));
  const add = fields.list('add', 2_000, item);
  const remove = fields.list('remove', 2_000, item);
  for (const [index, name] of remove.entries())
    if (add.includes(name)) problems.add(`packages.remove[${index}]`, 'is also in packages.add');
  return { add, remove };
}

function readFile(value: unknown, path: string, problems: Problems): RecipeFile | undefined {
  const fields = Fields.read(value, path, ['path', 'content', 'base64', 'mode', 'owner'], problems);
  if (!fields?.required('path')) return undefined;
  const target = fields.text('path', filePathProblem);
  if (fields.has('content') === fields.has('base64')) problems.add(path, 'must have exactly one of content, base64');
  const text = fields.text('content');
  const base64 = fields.text('base64', (encoded) =>
    /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(encoded.replace(/\s/g, ''))
      ? undefined
      : 'must be base64 (RFC 4648)',
  );
  const mode = fields.has('mode') ? parseMode(fields.raw('mode')) : 0o644;
  if (mode === undefined) problems.add(fields.at('mode'), "must be octal digits in quotes, such as '0644'");
  const owner = OWNER.exec(fields.text('owner', matching(OWNER, 'must be user:group')) ?? 'root:root');
  if (target === undefined || mode === undefined || !owner?.[1] || !owner[2]) return undefined;
  const content = base64 === undefined ? Buffer.from(text ?? '') : Buffer.from(base64, 'base64');
  return { path: target, content, mode, owner: { user: owner[1], group: owner[2] } };
}

function uniquePaths(files: RecipeFile[], problems: Problems): RecipeFile[] {
  const seen = new Set<string>();
  for (const file of files) {
    if (seen.has(file.path)) problems.add('files', `${file.path} stands twice`);
    seen.add(file.path);
  }
  return files;
}

/** Text is a shell command, a list an argv. */
function readCommand(value: unknown, path: string, problems: Problems): readonly string[] | undefined {
  if (typeof value === 'string') {
    if (value.trim() === '') return problems.add(path, 'must not be empty');
    return textOf(value, path, problems, () => undefined) === undefined ? undefined : ['/bin/sh', '-ec', value];
  }
  return readArgv(value, path, problems);
}

function readAuth(parent: Fields): Recipe['auth'] {
  const { problems } = parent;
  const fields = parent.has('auth')
    ? Fields.read(parent.raw('auth'), 'auth', ['nsswitch', 'pam'], problems)
    : undefined;
  if (!fields) return { nsswitch: {}, pam: {} };
  const nsswitch = fields.entries('nsswitch', 32).flatMap(([database, sources]): [string, string[]][] => {
    const path = join('auth.nsswitch', database);
    if (!/^[a-z_]{1,32}$/.test(database)) problems.add(path, 'must be a database such as passwd');
    const words = listOf(sources, path, 16, problems, (word, at) =>
      textOf(
        word,
        at,
        problems,
        matching(
          /^(?:[a-z0-9_]{1,32}|\[!?[A-Za-z]+=[a-z]+\])$/,
          'must be a source such as files or an action such as [NOTFOUND=return]',
        ),
      ),
    );
    if (Array.isArray(sources) && sources.length === 0) problems.add(path, 'must name at least one source');
    return [[database, words]];
  });
  const pam = fields.entries('pam', 64).flatMap(([service, content]): [string, string][] => {
    const path = join('auth.pam', service);
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(service))
      problems.add(path, 'must be a PAM service such as common-auth');
    const text = textOf(content, path, problems, () => undefined);
    return text === undefined ? [] : [[service, text]];
  });
  return { nsswitch: Object.fromEntries(nsswitch), pam: Object.fromEntries(pam) };
}

function readEnvironment(parent: Fields): Record<string, string> {
  const { problems } = parent;
  const pairs = parent.entries('env', 256).flatMap(([name, value]): [string, string][] => {
    const path = join('env', name.slice(0, 80));
    if (!ENV_NAME_PATTERN.test(name)) problems.add(path, 'is not a variable name');
    const text = textOf(value, path, problems, (content) => (/[\r\n]/.test(content) ? 'must be one line' : undefined));
    return text === undefined ? [] : [[name, text]];
  });
  const environment = Object.fromEntries(pairs);
  const whole = problems.list.length === 0 ? environmentProblem(environment) : undefined;
  if (whole !== undefined) problems.add('env', whole);
  return environment;
}

function scriptProblem(text: string): string | undefined {
  if (!text.startsWith('#!/')) return 'must begin with #! and an absolute interpreter';
  return Buffer.byteLength(text) > MANIFEST_LIMITS.mountScriptBytes
    ? `must be at most ${MANIFEST_LIMITS.mountScriptBytes} bytes`
    : undefined;
}

function readTests(parent: Fields): RecipeTest[] {
  const { problems } = parent;
  const names = new Set<string>();
  return parent.list('tests', 100, (value, path) => {
    const fields = Fields.read(value, path, ['name', 'run', 'expectExit', 'expectOutput', 'timeoutSeconds'], problems);
    if (!fields?.required('name') || !fields.required('run')) return undefined;
    const name = fields.text('name', (text) =>
      text === '' || text.length > 200 || /\p{Cc}/u.test(text) ? 'must be 1 to 200 characters on one line' : undefined,
    );
    const command = readCommand(fields.raw('run'), fields.at('run'), problems);
    const expectExit = fields.integer('expectExit', 0, 255) ?? 0;
    const expectOutput = fields.text('expectOutput', (text) =>
      text.length > 16_384 ? 'must be at most 16,384 characters' : undefined,
    );
    const timeoutSeconds = fields.integer('timeoutSeconds', 1, 1_800) ?? DEFAULT_TEST_SECONDS;
    if (name === undefined || command === undefined) return undefined;
    if (names.has(name)) return problems.add(fields.at('name'), 'stands twice');
    names.add(name);
    return { name, command, expectExit, expectOutput, timeoutSeconds };
  });
}
