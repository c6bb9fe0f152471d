/** A host for unit specs of placement: empty, of one storage node, with nothing special. */
import type { CandidateHost } from '../placement/domain/placement.js';

export function candidateHost(name: string, over: Partial<CandidateHost> = {}): CandidateHost {
  return {
    host: name,
    datacenter: 'dc-1',
    storageNodes: ['sn-1'],
    capacity: { memoryBytes: 1_000, cpus: 4, containers: 10 },
    allocated: { memoryBytes: 0, cpus: 0, containers: 0 },
    loadPerCore: 0,
    network: false,
    egressPolicies: false,
    diskLimits: [],
    missingLimits: [],
    ownUsers: null,
    hostUsers: null,
    hasStore: false,
    labels: {},
    ...over,
  };
}
