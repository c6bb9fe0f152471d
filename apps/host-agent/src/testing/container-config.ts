/** A checked config for specs. */
import { ContainerConfig, decodePayload } from '@plinth/contracts';

/** Generation 3, second run, of `shop-1` on `debian-12@v1`; without health check, restarted always. */
export function containerConfig(overrides: Partial<ContainerConfig> = {}): ContainerConfig {
  const plain = {
    containerId: 'a'.repeat(32),
    name: 'shop-1',
    tenant: 'default',
    host: 'host-1',
    generation: 3,
    runGeneration: 2,
    desired: 'running',
    image: 'debian-12@v1',
    contentDigest: `sha256:${'0'.repeat(64)}`,
    storageNode: 'sn-1',
    dataVolume: 'b'.repeat(32),
    env: {},
    limits: { memoryBytes: 1 << 28, cpus: 1, pids: 100 },
    restart: { policy: 'always' },
    network: 'isolated',
    stopGraceSeconds: 10,
    requestedAt: '2026-06-01T00:00:00Z',
    decidedAt: '2026-06-01T00:00:00Z',
    ...overrides,
  };
  const decoded = decodePayload(ContainerConfig, Buffer.from(JSON.stringify(plain)));
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.problems));
  return decoded.value;
}
