/** Prometheus metrics of the network of this host's containers, read when they are asked for. */
import { Counter } from 'prom-client';
import type { Networks } from '../adapters/networks.js';

export function measureNetworks(networks: Networks): void {
  new Counter({
    name: 'plinth_container_network_bytes_total',
    help: 'Bytes that a container has received and sent since its last start',
    labelNames: ['container', 'direction'],
    collect() {
      this.reset();
      for (const [container, { receivedBytes, sentBytes }] of networks.counters()) {
        this.inc({ container, direction: 'received' }, receivedBytes);
        this.inc({ container, direction: 'sent' }, sentBytes);
      }
    },
  });
  new Counter({
    name: 'plinth_container_network_packets_total',
    help: 'Packets that a container has received and sent since its last start',
    labelNames: ['container', 'direction'],
    collect() {
      this.reset();
      for (const [container, { receivedPackets, sentPackets }] of networks.counters()) {
        this.inc({ container, direction: 'received' }, receivedPackets);
        this.inc({ container, direction: 'sent' }, sentPackets);
      }
    },
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
