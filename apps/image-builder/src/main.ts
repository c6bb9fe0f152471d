import { enterPrivateMountNamespace } from '@plinth/container-runtime';

// Before anything else is loaded: the process may replace itself.
await enterPrivateMountNamespace();
await (await import('./service.js')).run();
