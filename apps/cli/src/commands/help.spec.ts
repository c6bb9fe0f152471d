/** What a new user reads first: the help of every command. */
import { describe, expect, it } from '@jest/globals';
import type { Command, Option } from 'commander';
import { wholeProgram } from '../program.js';

const program = await wholeProgram();

/** Commands that do something, with the words that call them. */
function leaves(command: Command, words: string): [string, Command][] {
  const path = `${words} ${command.name()}`.trim();
  return command.commands.length === 0 ? [[path, command]] : command.commands.flatMap((sub) => leaves(sub, path));
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 200 });
  command.outputHelp();
  return text;
}

describe.each(program.commands.flatMap((command) => leaves(command, '')))('plinth %s --help', (_path, command) => {
  const help = helpOf(command);

  it('describes itself in a sentence, and has an example', () => {
    expect(command.description()).toMatch(/^[a-z].{8,}[^.]$/);
    expect(help).toMatch(/\nExamples?:\n {2}plinth [a-z]/);
  });

  it('has the forms of a list, if it is one', () => {
    const forms = command.options.filter(({ long }) => long === '--output' || long === '--sort');
    if (command.name() === 'ls') expect(forms).toHaveLength(2);
  });

  it('shows which options are required', () => {
    expect(help.match(/\(required\)/g)?.length ?? 0).toBe(command.options.filter(({ mandatory }) => mandatory).length);
  });

  it('explains every option', () => {
    for (const option of command.options) explain(option.flags, option);
  });

  function explain(flags: string, option: Option): void {
    expect(option.description).not.toBe('');
    // A default is printed as a person would write it: durations with their unit.
    if (flags.includes('<duration>') && option.defaultValue !== undefined)
      expect(help).toContain(`(default: ${option.defaultValueDescription})`);
    if (typeof option.defaultValue === 'number' && option.defaultValueDescription === undefined)
      expect(option.defaultValue).toBeLessThan(1_000);
    expect(flags).not.toMatch(/<(?:seconds|ms|milliseconds)>/);
    expect(help).not.toContain('(default: [])');
    expect(option.description).not.toMatch(/the default:/);
  }

  it('explains every operand', () => {
    for (const operand of command.registeredArguments)
      expect([operand.name(), operand.description]).toEqual([operand.name(), expect.stringMatching(/./)]);
  });
});
