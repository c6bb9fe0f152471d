import { expect, it } from '@jest/globals';
import { wholeProgram } from '../program.js';
import { candidates } from './candidates.js';

const program = await wholeProgram();

it.each<[string, Partial<ReturnType<typeof candidates>>]>([
  ['ro', { words: ['rollout'] }],
  ['rollout ', { words: ['start', 'ls', 'show', 'watch', 'pause', 'resume', 'approve', 'abort', 'revert'] }],
  ['rollout show ', { words: [], named: 'rollouts' }],
  ['inspect ', { words: [], named: 'containers' }],
  ['stop shop-1 sh', { words: [], named: 'containers' }],
  ['ps --out', { words: ['--output'] }],
  ['ps --output ', { words: ['table', 'wide', 'json', 'yaml', 'name'] }],
  ['ps -o ', { words: ['table', 'wide', 'json', 'yaml', 'name'] }],
  ['ps --host ', { words: [], named: 'hosts' }],
  ['ps --tenant acme --image ', { words: [], named: 'images' }],
  ['image build ', { words: [], files: true }],
  ['image show deb', { words: [], named: 'images' }],
  ['switch shop-1 --to ', { words: [], named: 'images' }],
  ['context use ', { words: [], named: 'contexts' }],
  ['completion ', { words: ['bash', 'zsh', 'fish'] }],
  ['exec shop-1 -- l', { words: [] }],
])('plinth %s', (line, expected) => {
  const found = candidates(program, line.split(' '));
  expect({ ...found, words: [...found.words].sort() }).toEqual({
    ...expected,
    words: [...(expected.words ?? [])].sort(),
  });
});

it('has an option for each command that is asked for help', () => {
  for (const command of program.commands)
    expect(candidates(program, [command.name(), '--he'])).toEqual({ words: expect.arrayContaining(['--help']) });
});
