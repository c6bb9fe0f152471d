// Before anything else is loaded: Nest's decorators need it, and parts of a program are loaded in any order.
import 'reflect-metadata';
import { enterPrivateMountNamespace } from '@plinth/container-runtime/private-mount-namespace';

// Before anything else is loaded: the process may replace itself.
await enterPrivateMountNamespace();
await (await import('./service.js')).run();
