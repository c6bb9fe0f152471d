import { Module } from '@nestjs/common';
import { ContainerUpdate } from './container-update.js';
import { ContainerUpdateRequestedHandler } from './container-update-requested.handler.js';
import { ImageActivationRequestedHandler } from './image-activation-requested.handler.js';
import { RolloutActionsHandler } from './rollout-actions.handler.js';
import { RolloutControl } from './rollout-control.js';
import { RolloutCreation } from './rollout-creation.js';
import { RolloutProgress } from './rollout-progress.js';
import { RolloutRequestedHandler } from './rollout-requested.handler.js';
import { RolloutSwitch } from './rollout-switch.js';

@Module({
  controllers: [
    ContainerUpdateRequestedHandler,
    RolloutRequestedHandler,
    RolloutActionsHandler,
    ImageActivationRequestedHandler,
  ],
  providers: [ContainerUpdate, RolloutCreation, RolloutControl, RolloutProgress, RolloutSwitch],
  exports: [RolloutProgress],
})
export class RolloutsModule {}
