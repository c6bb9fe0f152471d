import { Module } from '@nestjs/common';
import { ContainerAction } from './container-action.js';
import { ContainerCreation } from './container-creation.js';
import { ContainerRemoveRequestedHandler } from './container-remove-requested.handler.js';
import { ContainerRequestedHandler } from './container-requested.handler.js';
import { ContainerRestartRequestedHandler } from './container-restart-requested.handler.js';
import { ContainerStartRequestedHandler } from './container-start-requested.handler.js';
import { ContainerStopRequestedHandler } from './container-stop-requested.handler.js';
import { DesiredState } from './desired-state.js';
import { RequestIntake } from './request-intake.js';
import { WaitingRequests } from './waiting-requests.js';

@Module({
  controllers: [
    ContainerRequestedHandler,
    ContainerStopRequestedHandler,
    ContainerStartRequestedHandler,
    ContainerRestartRequestedHandler,
    ContainerRemoveRequestedHandler,
  ],
  providers: [RequestIntake, WaitingRequests, ContainerCreation, ContainerAction, DesiredState],
  exports: [DesiredState],
})
export class ContainersModule {}
