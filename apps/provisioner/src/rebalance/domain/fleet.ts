/** What a rebalance is planned on: hosts that get containers, and the containers that may move or count for others. */
import type { GroupRules, StayReason } from '@plinth/contracts';
import type { GroupMembers } from '../../placement/domain/groups.js';
import type { PlacementNeeds } from '../../placement/domain/needs.js';
import type { Labelled } from '../../placement/domain/labels.js';
import type { CandidateHost } from '../../placement/domain/placement.js';
import type { Places } from '../../placement/domain/places.js';

export interface FleetContainer {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly host: string;
  /** Of its next host, without what groups mean for it now. */
  readonly needs: PlacementNeeds;
  readonly rules: GroupRules;
  /** Its processes are stopped and started again when it moves. */
  readonly isRunning: boolean;
  /** Absent: it may move. */
  readonly stays?: StayReason | undefined;
}

/** Containers of one host with the same rules of groups. */
export interface RuleHolders extends Labelled {
  readonly tenant: string;
  readonly rules: GroupRules;
  readonly count: number;
}

export interface Fleet {
  /** All that get containers, or at least those that the containers are on or may go to. */
  readonly hosts: readonly CandidateHost[];
  /** On them; at least those of hosts that are filled more than others, and those with constraints or groups. */
  readonly containers: readonly FleetContainer[];
  /** Of all groups that the containers name, wherever they are. */
  readonly members: readonly GroupMembers[];
  /** Further containers with rules about these groups, on hosts that get containers. */
  readonly holders: readonly RuleHolders[];
  /** Of all hosts that get containers. */
  readonly places: Places;
}
