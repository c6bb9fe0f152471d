/** `agent.<host>.stats`: memory, processes and mounts of the containers that run here. */
import type { ContainerStats, NetworkTraffic, QueryReply, StatsQuery } from '@plinth/contracts';

export interface RunningContainer {
  readonly id: string;
  readonly pid: number;
}

export class StatsHandler {
  constructor(
    private readonly running: () => readonly RunningContainer[],
    private readonly measure: (id: string, pid: number) => Promise<ContainerStats>,
    /** By container; those without an interface are missing. */
    private readonly traffic: () => ReadonlyMap<string, NetworkTraffic>,
  ) {}

  async handle(query: StatsQuery): Promise<QueryReply<ContainerStats[]>> {
    const wanted = this.running().filter(({ id }) => query.containerId === undefined || id === query.containerId);
    const traffic = this.traffic();
    const data: ContainerStats[] = [];
    for (const { id, pid } of wanted) data.push({ ...(await this.measure(id, pid)), network: traffic.get(id) });
    return { ok: true, data };
  }
}
