/** Prometheus metrics of the network of this host's containers, read when they are asked for. */
import { Counter } from 'prom-client';
import type { LinkCounters } from '@plinth/host-network';
import type { Networks } from '../adapters/networks.js';
import { GrownCounters } from '../domain/grown-counters.js';

export function measureNetworks(networks: Networks): void {
  traffic(networks, 'plinth_network_bytes_total', "Bytes that this host's containers have received and sent", {
    received: ({ receivedBytes }) => receivedBytes,
    sent: ({ sentBytes }) => sentBytes,
  });
  traffic(networks, 'plinth_network_packets_total', "Packets that this host's containers have received and sent", {
    received: ({ receivedPackets }) => receivedPackets,
    sent: ({ sentPackets }) => sentPackets,
  });
  new Counter({
    name: 'plinth_network_dropped_packets_total',
    help: "Packets of this host's containers that its rules dropped, by reason, since the rules were written",
    labelNames: ['reason'],
    collect() {
      this.reset();
      const drops = networks.drops();
      if (!drops) return;
      this.inc({ reason: 'spoofed-source' }, drops.spoofed);
      this.inc({ reason: 'neighbour-claim' }, drops.claimed);
      this.inc({ reason: 'router-advertisement' }, drops.advertised);
      this.inc({ reason: 'host-service' }, drops.toHost);
      this.inc({ reason: 'other-tenant' }, drops.refused);
      this.inc({ reason: 'egress-policy' }, drops.egress);
      this.inc({ reason: 'underlay' }, drops.underlay);
      this.inc({ reason: 'tunnel' }, drops.tunnel);
      this.inc({ reason: 'too-many-queries' }, drops.queries);
    },
  });
}

/** Of all containers together: `plinth stats` has those of one. */
function traffic(
  networks: Networks,
  name: string,
  help: string,
  directions: Readonly<Record<'received' | 'sent', (counters: LinkCounters) => number>>,
): void {
  const sums = Object.entries(directions).map(([direction, of]) => ({ direction, of, grown: new GrownCounters() }));
  new Counter({
    name,
    help,
    labelNames: ['direction'],
    collect() {
      this.reset();
      const counters = [...networks.counters()];
      for (const { direction, of, grown } of sums)
        this.inc({ direction }, grown.read(new Map(counters.map(([id, each]) => [id, of(each)]))));
    },
  });
}
