import { Module } from '@nestjs/common';
import { HostImageRequestsHandler } from './host-image-requests.handler.js';
import { HostImagesFeed } from './host-images-feed.js';
import { ImageFactsHandler } from './image-facts.handler.js';
import { ImageRetirement } from './image-retirement.js';
import { ProductionFeed } from './production-feed.js';
import { ImageRetirementRequestedHandler } from './image-retirement-requested.handler.js';

@Module({
  controllers: [ImageFactsHandler, ImageRetirementRequestedHandler, HostImageRequestsHandler],
  providers: [ImageRetirement, ProductionFeed, HostImagesFeed],
})
export class ImagesModule {}
