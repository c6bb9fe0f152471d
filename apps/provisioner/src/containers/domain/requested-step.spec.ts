import { describe, expect, it } from '@jest/globals';
import { ContainerConfig, type ContainerState } from '@plinth/contracts';
import type { Move } from './container-record.js';
import { requestedStep, type RequestedEvent } from './requested-step.js';

const MOVE: Move = { reason: 'drain', to: 'host-2', desired: 'running', released: false };

describe('a step that is requested', () => {
  it.each<[RequestedEvent, ContainerState, ContainerConfig['desired'], Move | null, string]>([
    ['stop-requested', 'running', 'running', null, 'stopping'],
    ['start-requested', 'stopped', 'stopped', null, 'scheduled'],
    ['update-requested', 'failed', 'running', null, 'scheduled'],
    ['start-requested', 'running', 'running', null, "shop-1 is running: it can't be asked to start now"],
    ['restart-requested', 'stopping', 'removed', null, 'shop-1 is being removed'],
    ['update-requested', 'stopping', 'removed', null, 'shop-1 is being removed'],
    ['remove-requested', 'stopping', 'removed', null, 'stopping'],
    ['remove-requested', 'removed', 'removed', null, "shop-1 is removed: it can't be asked to remove now"],
    ['stop-requested', 'running', 'running', MOVE, 'shop-1 is moving to another host; try again in a moment'],
    ['remove-requested', 'running', 'running', MOVE, 'shop-1 is moving to another host; try again in a moment'],
  ])('%s of one that is %s and should be %s, moving %j: %s', (event, state, desired, moving, expected) => {
    const config = Object.assign(new ContainerConfig(), { name: 'shop-1', desired });
    const step = requestedStep({ state, moving, config }, event);
    expect(step.ok ? step.state : step.message).toBe(expected);
  });
});
