import { runService } from '@plinth/service-kit';
import { ImageBuilderConfig } from './config.js';
import { assemble } from './image-builder.module.js';

await runService({ name: 'image-builder', config: ImageBuilderConfig, assemble });
