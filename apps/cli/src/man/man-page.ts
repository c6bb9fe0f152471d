/** The manual page, from the help of each command: man(7). Pure. */
import type { Command } from 'commander';

const WIDTH = 78;

/** @param program with all commands @param version of the tool */
export function manPage(program: Command, version: string): string {
  const sections = program.commands.flatMap((command) => withSubcommands(command, ''));
  return [
    `.TH PLINTH 1 "" "plinth ${version}" "Plinth"`,
    '.SH NAME',
    `plinth \\- ${escaped(program.description())}`,
    '.SH SYNOPSIS',
    '.B plinth',
    '.I command',
    '[\\fIoptions\\fR] [\\fIoperands\\fR]',
    '.SH DESCRIPTION',
    'The operator\\(aqs tool: it publishes requests, waits for the facts that answer them, and queries services.',
    'docs/cli.md describes what all commands have in common.',
    '.SH COMMANDS',
    ...sections.flatMap(([path, command]) => [
      `.SS plinth ${path}`,
      '.nf',
      ...helpOf(command)
        .trimEnd()
        .split('\n')
        .map((line) => guarded(escaped(line))),
      '.fi',
    ]),
    '.SH EXIT STATUS',
    '0: done. 1: refused, failed, timed out or not reachable. 2: wrong usage; nothing was sent.',
    '',
  ].join('\n');
}

/** Those that do something; a command that only groups others is described by them. */
function withSubcommands(command: Command, before: string): [string, Command][] {
  const path = `${before} ${command.name()}`.trim();
  return [[path, command], ...command.commands.flatMap((each) => withSubcommands(each, path))];
}

/** As `--help` prints it, on lines that fit a page. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => (text += part),
    getOutHelpWidth: () => WIDTH,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text;
}

const escaped = (text: string): string => text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll("'", '\\(aq');

/** A line that begins with a dot is a request of roff. */
const guarded = (line: string): string => (/^[.']/.test(line) ? `\\&${line}` : line);
