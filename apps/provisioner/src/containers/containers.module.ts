import { Module } from '@nestjs/common';
import { ContainerAction } from './container-action.js';
import { ContainerChange } from './container-change.js';
import { ContainerActionsHandler } from './container-actions.handler.js';
import { ContainerCreation } from './container-creation.js';
import { CreationBatch } from './creation-batch.js';
import { HostDirectory } from '../placement/host-directory.js';
import { ContainerRequestedHandler } from './container-requested.handler.js';
import { DesiredState } from './desired-state.js';
import { OtherPorts } from './other-ports.js';
import { PlacementPreview } from './placement-preview.js';
import { RequestIntake } from './request-intake.js';
import { WaitingRequests } from './waiting-requests.js';

@Module({
  controllers: [ContainerRequestedHandler, ContainerActionsHandler],
  providers: [
    RequestIntake,
    WaitingRequests,
    ContainerCreation,
    CreationBatch,
    HostDirectory,
    ContainerAction,
    ContainerChange,
    DesiredState,
    OtherPorts,
    PlacementPreview,
  ],
  exports: [DesiredState, HostDirectory, OtherPorts, PlacementPreview],
})
export class ContainersModule {}
