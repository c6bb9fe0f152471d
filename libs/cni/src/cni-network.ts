/** One network of CNI: its chain of plugins, run for one container after the other. Stores nothing. */
import {
  type CniConfiguration,
  type CniPlugin,
  commonVersion,
  isAtLeast,
  type JsonObject,
  parseConfiguration,
  programsOf,
} from './configuration.js';
import { type Attachment, type CniCommand, pluginEnvironment, pluginInput, versionEnvironment } from './plugin-call.js';
import { findPlugin, readConfigurationFile } from './plugin-files.js';
import { failureMessage, type NetworkResult, parseResult, supportedVersions } from './result.js';
import { type PluginRun, runPlugin } from './run-plugin.js';

/** A plugin failed, or could not be run. */
export class CniError extends Error {
  override readonly name = 'CniError';
  constructor(
    readonly plugin: string,
    readonly command: CniCommand,
    why: string,
  ) {
    super(`the plugin ${plugin} failed at ${command}: ${why}`);
  }
}

export interface CniOptions {
  /** Directories of plugins, in the order in which they are searched. */
  readonly path: readonly string[];
  /** Of one plugin. */
  readonly timeoutMs: number;
  /** Program and arguments before each plugin's, such as nsenter's; empty: none. */
  readonly within: readonly string[];
}

/** What a plugin and those before it have made. */
export interface Made {
  readonly raw: JsonObject;
  readonly result: NetworkResult;
}

export class CniNetwork {
  constructor(
    readonly configuration: CniConfiguration,
    private readonly options: CniOptions,
  ) {}

  /**
   * Reads a configuration, and asks each plugin for the versions that it knows.
   * @returns what is wrong with it, a sentence each, which says what to do
   */
  static async open(file: string, options: CniOptions): Promise<CniNetwork | readonly string[]> {
    const read = readConfigurationFile(file);
    if ('problem' in read) return [`${file} ${read.problem}`];
    const parsed = parseConfiguration(read.text);
    if (typeof parsed === 'string') return [`${file}: ${parsed}`];
    const problems: string[] = [];
    const supported: (readonly string[])[] = [];
    for (const program of programsOf(parsed)) {
      const found = findPlugin(program, options.path);
      if ('problem' in found) {
        problems.push(`${found.problem}; install it, or name its directory in PLINTH_CNI_PATH`);
        continue;
      }
      const versions = await versionsOf(found.file, parsed, options);
      if (typeof versions === 'string') problems.push(versions);
      else supported.push(versions);
    }
    if (problems.length > 0) return problems;
    const cniVersion = commonVersion(parsed.versions, supported);
    if (cniVersion !== undefined) return new CniNetwork({ ...parsed, cniVersion }, options);
    const common = supported.reduce((known, others) => known.filter((version) => others.includes(version)));
    return [
      `${file}: not every plugin knows cniVersion ${parsed.versions.join(' or ')}; set one that all know: ` +
        (common.join(', ') || 'there is none'),
    ];
  }

  /** Whether a plugin of the chain wants to know it, e.g. `portMappings`. */
  offers(capability: string): boolean {
    return this.configuration.plugins.some(({ capabilities }) => capabilities.includes(capability));
  }

  /**
   * Runs the chain. When it fails, {@link delete} is the caller's next step.
   * @param made called after each plugin; the next one waits for it
   * @throws CniError
   */
  async add(attachment: Attachment, made: (made: Made) => Promise<void> = () => Promise.resolve()): Promise<Made> {
    let last: Made | undefined;
    for (const plugin of this.configuration.plugins) {
      const { stdout } = await this.call('ADD', plugin, attachment, last?.raw);
      const parsed = parseResult(stdout);
      if (typeof parsed === 'string') throw new CniError(plugin.type, 'ADD', `it ${parsed}`);
      last = parsed;
      await made(last);
    }
    if (last === undefined) throw new Error('a chain has a plugin');
    return last;
  }

  /**
   * Removes what the chain has made, in reverse order; also when it has made only a part, or nothing. Every plugin is
   * run, whatever others do.
   * @param made the last result that is known
   * @throws CniError of the first that failed
   */
  async delete(attachment: Attachment, made: JsonObject | undefined): Promise<void> {
    let failure: unknown;
    for (const plugin of this.configuration.plugins.toReversed()) {
      try {
        await this.call('DEL', plugin, attachment, made);
      } catch (error) {
        if (!(error instanceof CniError)) throw error;
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** @returns what a plugin finds wrong; undefined: nothing, or the configuration has no CHECK */
  async check(attachment: Attachment, made: JsonObject): Promise<string | undefined> {
    const { configuration } = this;
    if (configuration.disableCheck || !isAtLeast(configuration.cniVersion, '0.4.0')) return undefined;
    try {
      for (const plugin of configuration.plugins.filter((one) => hasWork(one, attachment)))
        await this.call('CHECK', plugin, attachment, made);
      return undefined;
    } catch (error) {
      if (error instanceof CniError) return error.message;
      throw error;
    }
  }

  private async call(
    command: CniCommand,
    plugin: CniPlugin,
    attachment: Attachment,
    previous: JsonObject | undefined,
  ): Promise<PluginRun> {
    const { path, timeoutMs, within } = this.options;
    const found = findPlugin(plugin.type, path);
    if ('problem' in found) throw new CniError(plugin.type, command, found.problem);
    const run = await runPlugin([...within, found.file], {
      env: pluginEnvironment(command, attachment, path),
      input: pluginInput(command, this.configuration, plugin, attachment, previous),
      timeoutMs,
    });
    if (!run.ok) throw new CniError(plugin.type, command, run.end || failureMessage(run.stdout, run.stderr));
    return run;
  }
}

/**
 * A plugin that was given nothing of what it asks for has made nothing. That of bandwidth, 1.1.1, panics when it is
 * to check it.
 */
function hasWork({ capabilities }: CniPlugin, { runtimeConfig }: Attachment): boolean {
  return capabilities.length === 0 || capabilities.some((capability) => capability in runtimeConfig);
}

async function versionsOf(
  file: string,
  { cniVersion }: CniConfiguration,
  { path, timeoutMs, within }: CniOptions,
): Promise<readonly string[] | string> {
  const run = await runPlugin([...within, file], {
    env: versionEnvironment(path),
    input: JSON.stringify({ cniVersion }),
    timeoutMs,
  });
  const versions = run.ok ? supportedVersions(run.stdout) : [];
  if (versions.length > 0) return versions;
  return `${file} is no plugin of CNI, or can't run here: ${run.end || failureMessage(run.stdout, run.stderr)}`;
}
