import { enterPrivateMountNamespace } from '@plinth/container-runtime';

// Before anything else is loaded: the process may replace itself.
await enterPrivateMountNamespace();
const [{ runService }, { ImageBuilderConfig }, { assemble }] = await Promise.all([
  import('@plinth/service-kit'),
  import('./config.js'),
  import('./image-builder.module.js'),
]);
await runService({ name: 'image-builder', config: ImageBuilderConfig, assemble });
