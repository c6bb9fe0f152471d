export { debianRootfs, debianSystemRootfs } from './debian-rootfs.js';
export { type ScratchDirectory, scratchDirectory } from './scratch-directory.js';
export { givePostgresData, startNats, startPostgres, type TestServer } from './test-servers.js';
export { makeSmallRootfs, type SmallRootfs } from './small-rootfs.js';
export { tailOf } from '@plinth/local-servers';
export { type LogLine, refusedStart, type RefusedStart, ServiceProcess } from './service-process.js';
export { findRunLeftovers, readMachineState, type MachineState, RUN_VARIABLE } from './leftovers.js';
export { loopFileSystem, type LoopFileSystem } from './loop-file-system.js';
export { type Fate, type ScriptedImage, ScriptedHosts } from './scripted-hosts.js';
