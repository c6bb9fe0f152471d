/** The whole product on a lab's machines: servers first, then services, each waited for. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LEAST_REPLICATED, runsReplicas } from '@plinth/contracts';
import type { Lab } from '../lab.js';
import { DATA } from '../machine-root.js';
import type { Machine } from '../machine.js';
import { LabError } from '../plan.js';
import { mustRun, type Ran } from '../programs.js';
import { busUrl, startBusServer } from './bus-server.js';
import { bringKeys, makeKeys, operatorSeed } from './keys.js';
import { launch } from './launch.js';
import type { PlacedMachine } from './layout.js';
import { KEYS, type LabService, planServices } from './services.js';

export interface ProductOptions {
  readonly machines: readonly PlacedMachine[];
  /** Where the built services are; the same path in each machine. */
  readonly installation: string;
  /** Program of the bus servers; the one on the PATH when absent. */
  readonly natsServer?: string;
  /** One line per thing started. */
  readonly onProgress?: (line: string) => void;
}

/** Beside `lab.json`. */
interface ProductFile {
  readonly machines: readonly PlacedMachine[];
  readonly installation: string;
  readonly natsServer: string;
  /** By which the servers of a cluster know each other. */
  readonly routeSecret: string;
  readonly databaseUrl: string;
}

const DATABASE_PORT = 5432;
/** Of all machines of a lab. */
const NETWORK = '198.18.0.0/16';
const LABEL_WIDTH = 36;
const STREAM_REPLICAS = 3;

export class LabProduct {
  private constructor(
    private readonly lab: Lab,
    private file: ProductFile,
    private readonly onProgress: (line: string) => void,
  ) {}

  /** Starts all of it. @throws LabError when something does not become ready; what runs by then goes on */
  static async start(lab: Lab, options: ProductOptions): Promise<LabProduct> {
    const { machines, installation, natsServer = 'nats-server', onProgress = () => undefined } = options;
    const file = { machines, installation, natsServer, routeSecret: '', databaseUrl: '' };
    const product = new LabProduct(lab, file, onProgress);
    if (product.buses.length > 1) await refuseOldServer(natsServer);
    const routeSecret = await makeKeys(product.keys, product.services);
    product.record({ routeSecret });
    const buses = product.buses;
    await Promise.all([
      product.startDatabase(),
      ...buses.map((machine) => product.timed(`${machine.name}: nats-server`, () => product.startBus(machine))),
    ]);
    const { control } = product;
    const { natsUrl, services } = product;
    const stack = { natsUrl, nkeyFile: join(KEYS, 'operator.nk'), databaseUrl: product.file.databaseUrl };
    control.writeFile(stack.nkeyFile, operatorSeed(product.keys), 0o600);
    control.writeFile(join(DATA, 'stack.json'), JSON.stringify({ ...stack, home: DATA, services: [] }), 0o600);
    // The first one makes the streams that all others wait for.
    const [first, ...others] = services;
    if (first) await product.startServices([first]);
    await product.startServices(others);
    return product;
  }

  /** @returns undefined: the lab has machines only */
  static find(lab: Lab, onProgress: (line: string) => void = () => undefined): LabProduct | undefined {
    const path = join(lab.directory, 'product.json');
    return existsSync(path)
      ? new LabProduct(lab, JSON.parse(readFileSync(path, 'utf8')) as ProductFile, onProgress)
      : undefined;
  }

  get services(): readonly LabService[] {
    const { natsUrl } = this;
    const addressOf = (name: string): string => this.lab.machine(name).address;
    return planServices(this.file.machines, {
      natsUrl,
      databaseUrl: this.file.databaseUrl,
      streamReplicas: this.buses.length > 1 ? STREAM_REPLICAS : 1,
      addressOf,
    });
  }

  get natsUrl(): string {
    return busUrl(this.buses);
  }

  /** Servers' names on each machine, for people. */
  serversOn(machine: string): readonly string[] {
    return [
      ...(this.buses.some(({ name }) => name === machine) ? ['nats-server'] : []),
      ...(machine === this.control.name ? ['postgres'] : []),
      ...this.services.filter((service) => service.machine === machine).map(({ id }) => id),
    ];
  }

  /** Starts what runs on a machine that has power again. */
  async startOn(name: string): Promise<void> {
    const machine = this.lab.machine(name);
    if (this.buses.some((bus) => bus.name === name)) await this.startBus(machine);
    if (name === this.control.name) await this.startDatabase();
    await this.startServices(this.services.filter((service) => service.machine === name));
  }

  /** Runs the operator's tool on the control machine. */
  plinth(...args: string[]): Promise<Ran> {
    const tool = join(this.file.installation, 'apps/cli/dist/main.js');
    return this.control.run([process.execPath, tool, ...args], { env: { PLINTH_HOME: DATA } });
  }

  private get keys(): string {
    return join(this.lab.directory, 'keys');
  }

  private get control(): Machine {
    return this.lab.machine('control');
  }

  private get buses(): readonly Machine[] {
    const cluster = this.file.machines.filter(({ role }) => role === 'bus');
    return cluster.length > 0 ? cluster.map(({ name }) => this.lab.machine(name)) : [this.control];
  }

  private startBus(machine: Machine): Promise<void> {
    const { routeSecret, natsServer: program } = this.file;
    return startBusServer(machine, { servers: this.buses, routeSecret, keys: this.keys, program });
  }

  private startDatabase(): Promise<void> {
    return this.timed(`${this.control.name}: postgres`, async () => {
      const program = join(this.file.installation, 'libs/lab/dist/product/postgres-program.js');
      const args = [join(DATA, 'postgres'), String(DATABASE_PORT), this.control.address, NETWORK];
      const databaseUrl = (await this.control.mustRun([process.execPath, program, ...args], { orphans: true })).trim();
      this.record({ databaseUrl });
    });
  }

  private async startServices(services: readonly LabService[]): Promise<void> {
    const started = await Promise.allSettled(
      services.map((service) => {
        const machine = this.lab.machine(service.machine);
        bringKeys(this.keys, machine, service);
        for (const directory of service.directories) mkdirSync(machine.path(directory), { recursive: true });
        const argv = [process.execPath, join(this.file.installation, 'apps', service.app, 'dist/main.js')];
        return this.timed(`${machine.name}: ${service.id}`, () =>
          launch(machine, service.id, argv, '"msg":"ready"', { ...service.environment, ...fromPerson() }),
        );
      }),
    );
    const failed = started.find((result) => result.status === 'rejected');
    if (failed)
      throw failed.reason instanceof LabError ? failed.reason : new LabError('a service', { cause: failed.reason });
  }

  private async timed(what: string, work: () => Promise<void>): Promise<void> {
    const begin = performance.now();
    await work();
    this.onProgress(`${what.padEnd(LABEL_WIDTH)} ready  ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  }

  private record(change: Partial<ProductFile>): void {
    this.file = { ...this.file, ...change };
    writeFileSync(join(this.lab.directory, 'product.json'), `${JSON.stringify(this.file, null, 2)}\n`, { mode: 0o600 });
  }
}

/** @throws LabError */
async function refuseOldServer(program: string): Promise<void> {
  const version = /\d+\.\d+\.\d+/.exec(await mustRun([program, '--version']))?.[0] ?? '0';
  if (!runsReplicas(version))
    throw new LabError(
      `${program} is ${version}, a cluster needs ${LEAST_REPLICATED} or later: name one with PLINTH_NATS_BIN; ` +
        'Debian 13 has one: node scripts/debian-13-packages.mjs DIRECTORY nats-server',
    );
}

/** What reaches the services from the environment. */
function fromPerson(): Record<string, string> {
  const { PLINTH_CHECK_CONTRACTS: checks } = process.env;
  return checks === undefined ? {} : { PLINTH_CHECK_CONTRACTS: checks };
}
