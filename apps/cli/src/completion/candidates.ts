/** What may follow on a command line, from the tree of commands. Pure: names of things are looked up by the caller. */
import type { Argument, Command, Option } from 'commander';

/** Things of the running system that have names. */
export const NAMED = ['containers', 'images', 'hosts', 'storage', 'rollouts', 'contexts', 'tenants'] as const;
export type Named = (typeof NAMED)[number];

export interface Candidates {
  readonly words: readonly string[];
  /** Names of these may follow too. */
  readonly named?: Named;
  /** So may files. */
  readonly files?: boolean;
}

const NOTHING: Candidates = { words: [] };
/** By what an operand, or an option's value, is called. */
const KINDS: Readonly<Record<string, Named>> = {
  container: 'containers',
  image: 'images',
  from: 'images',
  to: 'images',
  host: 'hosts',
  node: 'storage',
  rollout: 'rollouts',
  context: 'contexts',
  tenant: 'tenants',
};
const FILES = ['file', 'recipe', 'directory', 'dir'];

/** @param words after `plinth`; the last one is being written, and may be empty */
export function candidates(program: Command, words: readonly string[]): Candidates {
  const before = words.slice(0, -1);
  const present = words.at(-1) ?? '';
  let command = program;
  let operands = 0;
  let wanting: Option | undefined;
  for (const word of before) {
    if (wanting) {
      wanting = undefined;
      continue;
    }
    // What follows belongs to the command in the container.
    if (word === '--') return NOTHING;
    if (word.startsWith('-')) {
      const option = optionOf(command, word);
      wanting = option && takesValue(option) && !word.includes('=') ? option : undefined;
      continue;
    }
    const next = operands === 0 ? subcommand(command, word) : undefined;
    if (next) command = next;
    else operands++;
  }
  if (wanting) return valuesOf(wanting);
  if (present.startsWith('-')) return { words: matching(optionsOf(command), present) };
  const subcommands = operands === 0 ? matching(namesOf(command), present) : [];
  const operand = command.registeredArguments[operands] ?? lastVariadic(command);
  return {
    ...(operand ? kindOf(operand.name(), operand.argChoices) : NOTHING),
    words: [...subcommands, ...matching(operand?.argChoices ?? [], present)],
  };
}

const subcommand = (command: Command, word: string): Command | undefined =>
  command.commands.find((each) => each.name() === word || each.aliases().includes(word));
const namesOf = (command: Command): string[] =>
  command.commands.map((each) => each.name()).filter((name) => !name.startsWith('__'));
const optionOf = (command: Command, word: string): Option | undefined =>
  command.options.find(({ long, short }) => long === word.split('=')[0] || short === word);
const takesValue = (option: Option): boolean => option.required || option.optional;
const optionsOf = (command: Command): string[] => [
  ...command.options.filter(({ hidden }) => !hidden).flatMap(({ long }) => long ?? []),
  '--help',
];
const matching = (words: readonly string[], present: string): string[] =>
  words.filter((word) => word.startsWith(present));

function lastVariadic(command: Command): Argument | undefined {
  const last = command.registeredArguments.at(-1);
  return last?.variadic ? last : undefined;
}

function valuesOf(option: Option): Candidates {
  if (option.argChoices) return { words: option.argChoices };
  const value = /[<[]([a-z-]+)/.exec(option.flags)?.[1] ?? '';
  const byOption = kindOf(option.attributeName(), undefined);
  return byOption.named !== undefined || byOption.files ? byOption : kindOf(value, undefined);
}

function kindOf(name: string, choices: readonly string[] | undefined): Candidates {
  if (choices) return { words: [] };
  const named = KINDS[name];
  return { words: [], ...(named && { named }), ...(FILES.includes(name) && { files: true }) };
}
