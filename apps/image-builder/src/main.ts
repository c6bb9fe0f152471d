import { enterPrivateMountNamespace } from '@plinth/container-runtime';

// Before anything else is loaded: the process may replace itself.
await enterPrivateMountNamespace();
const [{ BUILDER_CONSUMERS }, { runService }, { ImageBuilderConfig }, { assemble }] = await Promise.all([
  import('@plinth/contracts'),
  import('@plinth/service-kit'),
  import('./config.js'),
  import('./image-builder.module.js'),
]);
await runService({
  name: 'image-builder',
  config: ImageBuilderConfig,
  consumers: () => ({ request: BUILDER_CONSUMERS }),
  assemble,
});
