/** ioctl(2) on a file or directory. */
import { closeSync, constants, openSync } from 'node:fs';
import { bindCall, type BoundCall, lastErrno, SystemCallError } from '../libc.js';

let bound: BoundCall | undefined;

export const IOC_WRITE = 1;
export const IOC_READ = 2;

/** asm-generic/ioctl.h: the number of a request. @param size of its argument, bytes */
export function controlNumber(direction: number, type: number, number: number, size: number): number {
  return ((direction << 30) | (size << 16) | (type << 8) | number) >>> 0;
}

/** The kernel reads the argument and may change it. @param what for the error's message @throws SystemCallError */
export function control(path: string, request: number, argument: Buffer, what: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    bound ??= bindCall('int ioctl(int fd, unsigned long request, void *argument)');
    if (bound(fd, request, argument) !== 0) throw new SystemCallError('ioctl', lastErrno(), `to ${what} ${path}`);
  } finally {
    closeSync(fd);
  }
}
