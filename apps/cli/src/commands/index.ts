/** Every command by its name, loaded on demand. */
import type { Command } from 'commander';

export interface CommandModule {
  register(program: Command): void;
}

export const COMMANDS: Readonly<Record<string, () => Promise<CommandModule>>> = {
  up: () => import('./up.js'),
  demo: () => import('./demo.js'),
  down: () => import('./down.js'),
  lab: () => import('./lab.js'),
  bus: () => import('./bus.js'),
  doctor: () => import('./doctor.js'),
  context: () => import('./context.js'),
  completion: () => import('./completion.js'),
  console: () => import('./console.js'),
  status: () => import('./status.js'),
  image: () => import('./image.js'),
  cache: () => import('./cache.js'),
  run: () => import('./run.js'),
  place: () => import('./place.js'),
  ps: () => import('./ps.js'),
  inspect: () => import('./inspect.js'),
  logs: () => import('./logs.js'),
  exec: () => import('./exec.js'),
  stop: () => import('./stop.js'),
  start: () => import('./start.js'),
  restart: () => import('./restart.js'),
  rm: () => import('./rm.js'),
  set: () => import('./set.js'),
  switch: () => import('./switch.js'),
  rollout: () => import('./rollout.js'),
  host: () => import('./host.js'),
  hosts: () => import('./hosts.js'),
  rebalance: () => import('./rebalance.js'),
  tenant: () => import('./tenant.js'),
  storage: () => import('./storage.js'),
  stats: () => import('./stats.js'),
  access: () => import('./access.js'),
  keys: () => import('./keys.js'),
  deadletters: () => import('./deadletters.js'),
  events: () => import('./events.js'),
};
