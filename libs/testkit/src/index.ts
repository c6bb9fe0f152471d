export { debianRootfs } from './debian-rootfs.js';
export { type ScratchDirectory, scratchDirectory } from './scratch-directory.js';
export { startNats, startPostgres, type TestServer } from './test-servers.js';
export { makeSmallRootfs, type SmallRootfs } from './small-rootfs.js';
