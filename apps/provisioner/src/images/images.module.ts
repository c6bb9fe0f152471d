import { Module } from '@nestjs/common';
import { ImageFactsHandler } from './image-facts.handler.js';
import { ImageRetirement } from './image-retirement.js';
import { ProductionFeed } from './production-feed.js';
import { ImageRetirementRequestedHandler } from './image-retirement-requested.handler.js';

@Module({
  controllers: [ImageFactsHandler, ImageRetirementRequestedHandler],
  providers: [ImageRetirement, ProductionFeed],
})
export class ImagesModule {}
