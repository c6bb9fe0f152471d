/**
 * A reported image after a power cut: the storage is on a loop device, and its backing file at one instant has the content
 * of a disk that lost power then. Needs root, mkfs.ext4 and loop devices.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { decodePayload, MasterReport, MASTER_REPORTS } from '@plinth/contracts';
import { EventPublisher, ensureStreams } from '@plinth/service-kit';
import { startNats, type TestServer } from '@plinth/testkit';
import { connect, type NatsConnection } from 'nats';
import type { ServiceProcess } from '@plinth/testkit';
import { producedOf, publishProduction } from './testing/production.js';
import { startDistributor } from './testing/start-distributor.js';
import { HostileRepository, makeImage, makeKey, promotionOf, trust } from '@plinth/image-transfer/testing';

const FILES = 200;
const DISK_BYTES = 256 * 1024 ** 2;
const key = makeKey();
const scratch = mkdtempSync(join(tmpdir(), 'plinth-power-'));
const mounted: string[] = [];
let nats: TestServer;
let connection: NatsConnection;
let repository: HostileRepository;
let distributor: ServiceProcess | undefined;

function mount(disk: string, name: string, options: string): string {
  const path = join(scratch, name);
  mkdirSync(path);
  execFileSync('mount', ['-t', 'ext4', '-o', `loop,${options}`, disk, path]);
  mounted.push(path);
  return path;
}

beforeAll(async () => {
  trust(join(scratch, 'keys'), key);
  nats = await startNats();
  connection = await connect({ servers: nats.url });
  await ensureStreams(connection);
  repository = await new HostileRepository().start();
});
afterAll(async () => {
  await distributor?.end('SIGKILL');
  for (const path of mounted.reverse()) execFileSync('umount', [path]);
  await connection?.close();
  await repository?.stop();
  await nats?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

it('an image that was reported is whole after a power cut', async () => {
  const disk = join(scratch, 'disk');
  writeFileSync(disk, '');
  truncateSync(disk, DISK_BYTES);
  execFileSync('mkfs.ext4', ['-q', '-F', disk]);
  // The journal of the file system must not flush writes that the distributor has to flush.
  const storage = mount(disk, 'storage', 'commit=600');
  const tree = Object.fromEntries(
    Array.from({ length: FILES }, (_, index) => [`data/file-${index}`, `content ${index} `.repeat(500)]),
  );
  const image = await makeImage(tree, key, { name: 'cut' });
  distributor = await startDistributor({
    NATS_URL: nats.url,
    PLINTH_STORAGE_NODE: 'sn-1',
    PLINTH_STORAGE_DIR: storage,
    PLINTH_TRUSTED_KEYS: join(scratch, 'keys'),
  });
  const cut = join(scratch, 'cut');
  const reported = new Promise<void>((resolve) => {
    connection.subscribe(MASTER_REPORTS, {
      callback: (_error, message) => {
        const decoded = decodePayload(MasterReport, message.data);
        if (!decoded.ok || decoded.value.kind !== 'distributed') return;
        copyFileSync(disk, cut);
        resolve();
      },
    });
  });
  await publishProduction(
    new EventPublisher(connection, 'test'),
    producedOf(promotionOf(image, [repository.put(image)])),
  );
  await reported;
  const version = join(mount(cut, 'after', 'rw'), 'images/cut/v1');
  expect(readdirSync(version).sort()).toEqual(['manifest.json', 'mount.sh', 'root', 'signature.json']);
  const wrong = Object.entries(tree).filter(
    ([path, content]) => readFileSync(join(version, 'root', path), 'utf8') !== content,
  );
  expect(wrong.map(([path]) => path)).toEqual([]);
  // Each object that has a name is whole: it is the file of the tree, or there would be one with another inode.
  const whole = new Set(Object.keys(tree).map((path) => lstatSync(join(version, 'root', path)).ino));
  const objects = readdirSync(join(version, '../../../objects'), { withFileTypes: true, recursive: true });
  const files = objects.filter((entry) => entry.isFile());
  expect(files).toHaveLength(FILES);
  expect(files.filter((file) => !whole.has(lstatSync(join(file.parentPath, file.name)).ino))).toEqual([]);
});
