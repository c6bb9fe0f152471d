/** Settings of the first process in a recipe: its argv, working directory, user and stop signal. */
import { comparePorts, IMAGE_USER_PATTERN, INIT_STOP_SIGNAL, isSystemInit, MAX_EXPOSED_PORTS } from '@plinth/contracts';
import { exposedPort } from './oci-image-config.js';
import { type Fields, matching, readArgv } from './recipe-fields.js';
import { pathProblem } from './recipe-paths.js';
import type { Recipe } from './recipe.js';
import { signalProblem } from './stop-signal.js';

type RecipeProcess = Pick<
  Recipe,
  'entrypoint' | 'command' | 'workingDirectory' | 'user' | 'stopSignal' | 'exposedPorts' | 'privileges'
>;

export function readProcess(fields: Fields): RecipeProcess {
  return {
    ...readWords(fields),
    workingDirectory: fields.text('workingDirectory', (text) => (text === '/' ? undefined : pathProblem(text))),
    user: readUser(fields),
    stopSignal: fields.text('stopSignal', signalProblem) ?? initStopSignal(fields.raw('init')),
    exposedPorts: readPorts(fields),
    privileges: fields.text('privileges', (text) =>
      text === 'none' || text === 'setuid' ? undefined : 'must be none or setuid',
    ) as RecipeProcess['privileges'],
  };
}

/** systemd takes SIGTERM for a request to start itself again. */
function initStopSignal(init: unknown): string | undefined {
  return typeof init === 'string' && isSystemInit([init]) ? INIT_STOP_SIGNAL : undefined;
}

/** `init` is the whole argv: it replaces the source's entry point. */
function readWords(fields: Fields): Pick<Recipe, 'entrypoint' | 'command'> {
  for (const key of ['command', 'entrypoint'])
    if (fields.has('init') && fields.has(key)) fields.problems.add('init', `must not stand beside ${key}`);
  const init = fields.text('init', pathProblem);
  if (init !== undefined) return { entrypoint: [], command: [init] };
  const none = Array.isArray(fields.raw('entrypoint')) && (fields.raw('entrypoint') as unknown[]).length === 0;
  return {
    entrypoint: none
      ? []
      : fields.has('entrypoint')
        ? readArgv(fields.raw('entrypoint'), 'entrypoint', fields.problems)
        : undefined,
    command: fields.has('command') ? readArgv(fields.raw('command'), 'command', fields.problems) : undefined,
  };
}

function readUser(fields: Fields): string | undefined {
  const value = fields.raw('user');
  // A bare number is one in YAML.
  if (Number.isSafeInteger(value) && (value as number) >= 0) return String(value);
  return fields.text('user', matching(IMAGE_USER_PATTERN, 'must be user or user:group, names or numbers'));
}

function readPorts(fields: Fields): readonly string[] | undefined {
  if (!fields.has('exposedPorts')) return undefined;
  const ports = fields.list('exposedPorts', MAX_EXPOSED_PORTS, (value, path) => {
    const port = typeof value === 'string' || typeof value === 'number' ? exposedPort(String(value)) : undefined;
    return port ?? fields.problems.add(path, 'must be a port such as 80 or 53/udp');
  });
  return [...new Set(ports)].sort(comparePorts);
}
