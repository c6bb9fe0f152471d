/**
 * Starts the parts of a process in order and stops them in the reverse order.
 *
 * A start that fails stops what was started before it. A stop that fails is logged with the name of its part, and the
 * others are stopped nevertheless: what one part could not give up must not keep the others from giving up their locks,
 * mounts and connections.
 */
import type { Logger } from '../logging.js';

/** A part of a process with a start and an end of its own. */
export interface Component {
  start?(): Promise<void> | void;
  /** Only called after `start` has succeeded. */
  stop?(): Promise<void> | void;
}

export class StartError extends Error {
  constructor(component: string, options: { readonly cause: unknown }) {
    const { cause } = options;
    super(`${component} could not be started: ${cause instanceof Error ? cause.message : String(cause)}`, options);
    this.name = 'StartError';
  }
}

export class LifeCycle {
  private readonly running: { readonly name: string; readonly component: Component }[] = [];

  constructor(private readonly logger: Pick<Logger, 'error' | 'debug'>) {}

  /** @throws StartError after everything that was started before has been stopped */
  async start(name: string, component: Component): Promise<void> {
    try {
      await component.start?.();
    } catch (error) {
      await this.stop();
      throw new StartError(name, { cause: error });
    }
    this.running.push({ name, component });
  }

  /** Stops everything once. @returns the names of the parts whose stop failed */
  async stop(): Promise<readonly string[]> {
    const failed: string[] = [];
    for (let last = this.running.pop(); last; last = this.running.pop()) {
      try {
        await last.component.stop?.();
        this.logger.debug({ component: last.name }, 'stopped');
      } catch (error) {
        this.logger.error({ err: error, component: last.name }, `${last.name} could not be stopped; the others are`);
        failed.push(last.name);
      }
    }
    return failed;
  }
}
