/** Options that most commands share. */
import type { Command } from 'commander';
import { parseName } from './arguments.js';

export interface SharedOptions {
  readonly json?: boolean;
  readonly nats?: string;
}

export function withShared(command: Command): Command {
  return command
    .option('--json', 'JSON for programs')
    .option('--nats <url>', 'NATS server; else NATS_URL, else the stack of this machine');
}

export function withTenant(command: Command): Command {
  return command.option('--tenant <name>', 'tenant of the container', parseName, 'default');
}
