import { Module } from '@nestjs/common';
import { ContainerUpdate } from './container-update.js';
import { ContainerUpdateRequestedHandler } from './container-update-requested.handler.js';
import { ImageActivationRequestedHandler } from './image-activation-requested.handler.js';
import { RolloutAbortRequestedHandler } from './rollout-abort-requested.handler.js';
import { RolloutApprovalRequestedHandler } from './rollout-approval-requested.handler.js';
import { RolloutControl } from './rollout-control.js';
import { RolloutCreation } from './rollout-creation.js';
import { RolloutPauseRequestedHandler } from './rollout-pause-requested.handler.js';
import { RolloutProgress } from './rollout-progress.js';
import { RolloutRequestedHandler } from './rollout-requested.handler.js';
import { RolloutResumeRequestedHandler } from './rollout-resume-requested.handler.js';
import { RolloutRevertRequestedHandler } from './rollout-revert-requested.handler.js';

@Module({
  controllers: [
    ContainerUpdateRequestedHandler,
    RolloutRequestedHandler,
    RolloutPauseRequestedHandler,
    RolloutResumeRequestedHandler,
    RolloutAbortRequestedHandler,
    RolloutRevertRequestedHandler,
    RolloutApprovalRequestedHandler,
    ImageActivationRequestedHandler,
  ],
  providers: [ContainerUpdate, RolloutCreation, RolloutControl, RolloutProgress],
  exports: [RolloutProgress],
})
export class RolloutsModule {}
