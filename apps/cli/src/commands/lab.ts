import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { homeDirectory, installationDirectory } from '@plinth/stack';
import type { Lab, LabProduct, Machine, NetworkFault } from '@plinth/lab';
import { type List, type ListOptions, printList, withLocalList } from '../output/list.js';

const directory = (): string => join(homeDirectory(), 'lab');
const line = (text: string): void => void process.stdout.write(`${text}\n`);

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a number from ${least} to ${most}.`);
    return value;
  };
}

/** @throws Error when none runs */
async function openLab(): Promise<{ readonly lab: Lab; readonly product: LabProduct | undefined }> {
  const module = await import('@plinth/lab');
  const lab = module.Lab.find(directory());
  if (!lab) throw new Error(`no lab runs in ${directory()}; start one with: plinth lab up`);
  return { lab, product: module.LabProduct.find(lab, line) };
}

interface UpOptions {
  readonly machines: number;
  readonly datacenters: number;
  readonly busServers: '1' | '3';
  readonly bare?: boolean;
}

async function up({ machines: count, datacenters, busServers, bare = false }: UpOptions): Promise<void> {
  const { Lab, LabProduct, layOut } = await import('@plinth/lab');
  const begin = performance.now();
  const { PLINTH_NATS_BIN: given } = process.env;
  const natsServer = given ? resolve(given) : undefined;
  const machines = bare
    ? Array.from({ length: count }, (_, index) => ({
        name: `machine-${index + 1}`,
        datacenter: `dc-${(index % datacenters) + 1}`,
      }))
    : layOut({ machines: count, datacenters, busServers: busServers === '3' ? 3 : 1 });
  const lab = await Lab.start({
    directory: directory(),
    machines,
    life: 'background',
    // A program that was unpacked below /tmp would be in none of the machines.
    shares: [installationDirectory(), ...(natsServer === undefined ? [] : [dirname(natsServer)])],
    onMachine: (name) => line(`${name.padEnd(36)} has power`),
  });
  try {
    if (!bare)
      await LabProduct.start(lab, {
        machines: layOut({ machines: count, datacenters, busServers: busServers === '3' ? 3 : 1 }),
        installation: installationDirectory(),
        ...(natsServer === undefined ? {} : { natsServer }),
        onProgress: line,
      });
  } catch (error) {
    await lab.down();
    throw error;
  }
  line(`${count} machines after ${((performance.now() - begin) / 1000).toFixed(1)} s\n`);
  await list();
  line(
    bare
      ? '\nrun something: plinth lab exec machine-1 -- bash   end it with: plinth lab down'
      : '\nuse it: plinth lab exec control -- plinth hosts   end it with: plinth lab down',
  );
}

interface ListedMachine extends Pick<Machine, 'name' | 'datacenter' | 'address' | 'state'> {
  readonly runs: readonly string[];
  /** What passes differently from it or to it. */
  readonly faults: readonly NetworkFault[];
}

const MACHINES: List<ListedMachine> = {
  name: ({ name }) => name,
  columns: [
    { heading: 'MACHINE', cell: ({ name }) => name },
    { heading: 'DATACENTER', cell: ({ datacenter }) => datacenter },
    { heading: 'ADDRESS', cell: ({ address }) => address },
    { heading: 'STATE', cell: ({ state }) => state },
    { heading: 'RUNS', cell: ({ runs }) => runs.join(' ') },
  ],
};

async function list(options: ListOptions = {}): Promise<void> {
  const { lab, product } = await openLab();
  const machines = lab.machines.map(({ name, datacenter, address, state }) => ({
    name,
    datacenter,
    address,
    state,
    runs: product?.serversOn(name) ?? [],
    faults: lab.faults.filter(
      ({ from, to }) => to === undefined || [from, to].some((end) => end === name || end === datacenter),
    ),
  }));
  await printList(options, machines, MACHINES);
  if (options.json || !['table', 'wide'].includes(options.output ?? 'table')) return;
  for (const { kind, from, to, oneWay, kibibytesPerSecond: rate, lossPercent: loss } of lab.faults) {
    const limits = [
      ...(rate === undefined ? [] : [`${rate} KiB/s`]),
      ...(loss === undefined ? [] : [`${loss} % lost`]),
    ];
    line([kind, from, oneWay ? '->' : '<->', to ?? 'all others', ...limits].join(' '));
  }
}

/** @returns the exit code of the command */
async function exec(name: string, argv: readonly string[]): Promise<number> {
  const { lab } = await openLab();
  // The tool by its own name, as on a machine where it is installed.
  const [program = '', ...args] = argv[0] === '--' ? argv.slice(1) : argv;
  const command =
    program === 'plinth'
      ? [process.execPath, join(installationDirectory(), 'apps/cli/dist/main.js'), ...args]
      : [program, ...args];
  const { DATA } = await import('@plinth/lab');
  const env = { PLINTH_HOME: DATA, ...(process.env['TERM'] ? { TERM: process.env['TERM'] } : {}) };
  const child = lab.machine(name).spawn(command, { stdio: 'inherit', env });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 255));
  });
}

export function register(program: Command): void {
  const lab = program
    .command('lab')
    .description('several machines on this one, with faults between them')
    .enablePositionalOptions();
  const example = (command: Command, text: string): Command =>
    command.addHelpText('after', `\nExample:\n  plinth ${text}`);
  const oneMachine = (name: string, description: string, act: (lab: Lab, machine: string) => Promise<void>): void =>
    void example(
      lab
        .command(name)
        .description(description)
        .argument('<machine>', 'its name: plinth lab ls')
        .action(async (machine: string) => act((await openLab()).lab, machine)),
      `lab ${name} host-1`,
    );

  example(
    lab
      .command('up')
      .description('start machines with the product on them: its servers and services, each on its own machine')
      .option('--machines <n>', 'how many', whole(1, 200), 5)
      .option('--datacenters <n>', 'how many they are in', whole(1, 16), 2)
      .addOption(
        new Option('--bus-servers <n>', 'one on the control machine, or a cluster of three machines')
          .choices(['1', '3'])
          .default('1'),
      )
      .option('--bare', 'machines only')
      .action(up),
    'lab up --machines 8 --datacenters 2 --bus-servers 3',
  );
  example(
    withLocalList(lab.command('ls'), MACHINES)
      .description('list machines, what runs on them, and faults')
      .action((options: ListOptions) => list(options)),
    'lab ls -o json',
  );
  example(
    lab
      .command('exec')
      .description("run a command on a machine; plinth there is the operator's tool")
      .passThroughOptions()
      .argument('<machine>', 'its name: plinth lab ls')
      .argument('<command...>', 'after --: program and arguments')
      .action(async (machine: string, command: string[]) => {
        process.exitCode = await exec(machine, command);
      }),
    'lab exec control -- plinth hosts',
  );
  const between = (name: string, description: string): Command =>
    lab
      .command(name)
      .description(description)
      .argument('<from>', 'a machine or a data centre')
      .argument('[to]', 'another one; absent: all others')
      .option('--one-way', 'only what <from> sends');
  example(
    between('cut', 'let nothing pass between machines or data centres').action(
      async (from: string, to: string | undefined, { oneWay = false }: { oneWay?: boolean }) =>
        (await openLab()).lab.cut(from, to, { oneWay }),
    ),
    'lab cut dc-1 dc-2 --one-way',
  );
  example(
    between('slow', 'limit the rate between machines or data centres, or lose packets')
      .option('--rate <KiB>', 'KiB a second, of each direction; what is more is dropped', whole(1, 10_000_000))
      .option('--loss <percent>', 'of the packets', whole(1, 99))
      .action(
        async (
          from: string,
          to: string | undefined,
          { oneWay = false, rate, loss }: { oneWay?: boolean; rate?: number; loss?: number },
        ) => {
          if (rate === undefined && loss === undefined) throw new Error('name --rate, --loss or both');
          await (await openLab()).lab.slow(from, to, { oneWay, kibibytesPerSecond: rate, lossPercent: loss });
        },
      ),
    'lab slow dc-1 dc-2 --rate 128 --loss 5',
  );
  example(
    lab
      .command('heal')
      .description('end all faults between machines')
      .action(async () => (await openLab()).lab.heal()),
    'lab heal',
  );
  oneMachine('freeze', 'have everything on a machine stand still', (opened, machine) => opened.freeze(machine));
  oneMachine('thaw', 'have a frozen machine go on', (opened, machine) => opened.thaw(machine));
  oneMachine('power-cut', 'end everything on a machine at once; its disk stays', (opened, machine) =>
    opened.powerCut(machine),
  );
  oneMachine('power-on', 'start a machine on its disk, and what runs on it', async (opened, machine) => {
    await opened.powerOn(machine);
    await (await openLab()).product?.startOn(machine);
  });
  example(lab.command('down').description('end all machines; nothing is left of them').action(down), 'lab down');
}

/** Also of a lab whose processes were killed. */
async function down(): Promise<void> {
  const { Lab, leftOf, removeRest } = await import('@plinth/lab');
  const lab = Lab.find(directory());
  if (lab) await lab.down();
  else await removeRest(directory());
  const left = leftOf(directory());
  if (left.length > 0) throw new Error(`still there: ${left.join(', ')}; run plinth lab down again`);
  line(lab ? 'ended; nothing is left' : 'nothing was running');
}
