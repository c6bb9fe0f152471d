// Before anything else is loaded: Nest's decorators need it, and parts of a program are loaded in any order.
import 'reflect-metadata';

await (await import('./service.js')).run();
