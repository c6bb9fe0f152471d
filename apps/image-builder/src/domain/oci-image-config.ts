/** Process settings in the config of an OCI image (image-spec 1.1, config.md). The document is untrusted. */
import {
  comparePorts,
  environmentProblem,
  EXPOSED_PORT_PATTERN,
  IMAGE_USER_PATTERN,
  MAX_EXPOSED_PORTS,
} from '@plinth/contracts';
import type { SourceSettings } from './image-settings.js';
import { pathProblem } from './recipe-paths.js';
import { signalName } from './stop-signal.js';

export type ReadOciConfig =
  | {
      readonly ok: true;
      readonly settings: SourceSettings;
      /** Lines for the build's log. */
      readonly notes: readonly string[];
    }
  /** One sentence that begins with the field. */
  | { readonly ok: false; readonly problem: string };

/** A shell alone is a command for a user at a terminal, which containers do not have: it ends at once. */
const SHELLS: ReadonlySet<string> = new Set(['sh', 'bash', 'dash', 'ash', 'zsh']);
const MAX_WORDS = 256;
const MAX_WORD = 16_384;

class Refusal extends Error {}

export function readOciConfig(document: Readonly<Record<string, unknown>>): ReadOciConfig {
  const config = document['config'] ?? {};
  if (!isObject(config)) return { ok: false, problem: 'config must be an object' };
  try {
    const entrypoint = wordsOf(config, 'Entrypoint');
    const command = wordsOf(config, 'Cmd');
    const forTerminal = entrypoint === undefined && command?.length === 1 && isShell(command[0] ?? '');
    return {
      ok: true,
      settings: {
        environment: environmentOf(config['Env']),
        entrypoint,
        command: forTerminal ? undefined : command,
        workingDirectory: directoryOf(config),
        user: userOf(config),
        stopSignal: signalOf(config),
        exposedPorts: portsOf(config['ExposedPorts']),
      },
      notes: forTerminal
        ? [`the command of the OCI image, ${command?.[0]}, is for a terminal; the default command takes its place`]
        : [],
    };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, problem: error.message };
    throw error;
  }
}

type Config = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Config {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function isShell(program: string): boolean {
  return SHELLS.has(program.slice(program.lastIndexOf('/') + 1));
}

/** @returns undefined for none, which null and an empty list mean as well */
function wordsOf(config: Config, field: string): readonly string[] | undefined {
  const value = config[field] ?? undefined;
  if (value === undefined) return undefined;
  const isWord = (word: unknown): boolean =>
    typeof word === 'string' && word.length <= MAX_WORD && !word.includes('\0');
  if (!Array.isArray(value) || value.length > MAX_WORDS || !value.every(isWord))
    throw new Refusal(`${field} must be a list of at most ${MAX_WORDS} words without NUL`);
  if (value[0] === '') throw new Refusal(`${field} must not begin with an empty word`);
  return value.length === 0 ? undefined : (value as string[]);
}

function environmentOf(value: unknown): Readonly<Record<string, string>> {
  const variables = value ?? [];
  if (!Array.isArray(variables)) throw new Refusal('Env must be a list');
  // A longer list is refused before it is copied.
  if (variables.length > 10_000) throw new Refusal('Env must have at most 256 variables');
  const pairs = (variables as unknown[]).map((variable): [string, string] => {
    const equals = typeof variable === 'string' ? variable.indexOf('=') : -1;
    if (typeof variable !== 'string' || equals < 1) throw new Refusal('Env must hold texts such as NAME=value');
    return [variable.slice(0, equals), variable.slice(equals + 1)];
  });
  const environment = Object.fromEntries(pairs);
  const problem = environmentProblem(environment);
  if (problem !== undefined) throw new Refusal(`Env ${problem}`);
  return environment;
}

function textOf(config: Config, field: string): string | undefined {
  const value = config[field] ?? '';
  if (typeof value !== 'string') throw new Refusal(`${field} must be text`);
  return value === '' ? undefined : value;
}

function directoryOf(config: Config): string | undefined {
  const path = textOf(config, 'WorkingDir')?.replace(/\/+$/, '');
  if (path === undefined || path === '') return undefined;
  const problem = pathProblem(path);
  if (problem !== undefined) throw new Refusal(`WorkingDir ${problem}`);
  return path;
}

function userOf(config: Config): string | undefined {
  const user = textOf(config, 'User');
  if (user !== undefined && !IMAGE_USER_PATTERN.test(user))
    throw new Refusal('User must be user or user:group, names or numbers');
  return user;
}

function signalOf(config: Config): string | undefined {
  const text = textOf(config, 'StopSignal');
  if (text === undefined) return undefined;
  const name = signalName(text);
  if (name === undefined)
    throw new Refusal(`StopSignal ${JSON.stringify(text.slice(0, 40))} is no signal that containers are stopped with`);
  return name;
}

function portsOf(value: unknown): readonly string[] | undefined {
  const ports = value ?? {};
  if (!isObject(ports)) throw new Refusal('ExposedPorts must be an object');
  const names = Object.keys(ports);
  if (names.length > MAX_EXPOSED_PORTS) throw new Refusal(`ExposedPorts must be at most ${MAX_EXPOSED_PORTS}`);
  const exposed = new Set<string>();
  for (const name of names) {
    const port = exposedPort(name);
    if (port === undefined)
      throw new Refusal(`ExposedPorts: ${JSON.stringify(name.slice(0, 40))} is no port such as 80/tcp`);
    exposed.add(port);
  }
  return names.length === 0 ? undefined : [...exposed].sort(comparePorts);
}

/** `80` means `80/tcp`; undefined: it is no port. */
export function exposedPort(text: string): string | undefined {
  const port = /^\d+$/.test(text) ? `${text}/tcp` : text;
  return EXPOSED_PORT_PATTERN.test(port) && Number.parseInt(port, 10) <= 65_535 ? port : undefined;
}
