/** Options that most commands share. */
import { type Command, Option } from 'commander';
import { presetTenant } from '../contexts.js';
import { parseDuration, parseName } from './arguments.js';

export interface SharedOptions {
  readonly json?: boolean;
  readonly nats?: string;
}

export function withShared(command: Command): Command {
  return command
    .option('--json', 'JSON for programs')
    .option('--nats <url>', 'NATS server; else the context, NATS_URL, or the stack of this machine');
}

export function withTenant(command: Command): Command {
  return command.option('--tenant <name>', 'tenant of the container', parseName, presetTenant());
}

/**
 * An option that takes a duration; its value is in milliseconds.
 * @param preset as a person writes it, such as `40m`; absent: the option has no value unless it is given
 */
export function duration(flags: string, description: string, preset?: string): Option {
  const option = new Option(flags, description).argParser(parseDuration);
  return preset === undefined ? option : option.default(parseDuration(preset), preset);
}
