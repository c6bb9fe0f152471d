import type { Command } from 'commander';
import { registerAction } from './container-actions.js';

export function register(program: Command): void {
  registerAction(program, 'rm');
}
