export { debianRootfs } from './debian-rootfs.js';
