/**
 * Runs on a machine of a lab: publishes requests, some at once, each again under its id until the bus has acknowledged it,
 * and writes each acknowledgement as a line `<id> <sequence> <milliseconds since the one before>` to standard output. A
 * line on standard input is answered by what every server holds, as JSON after `replicas `. Arguments: servers' URL, file
 * of the provisioner's key, file of an upstream system's key, lanes, monitors…
 */
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { replicasAt } from '@plinth/client';
import { connectNats, EventPublisher } from '@plinth/service-kit';

const [url = '', provisionerKey = '', upstreamKey = '', lanes = '', ...monitors] = process.argv.slice(2);
const print = (line: string): void => void process.stdout.write(`${line}\n`);

const provisioner = await connectNats({
  url,
  name: 'probe-provisioner',
  credentials: { nkeyFile: provisionerKey },
  replicas: 3,
});
const connection = await connectNats({
  url,
  name: 'probe',
  credentials: { nkeyFile: upstreamKey },
  declareStreams: false,
});
const publisher = new EventPublisher(connection, 'probe/1');
let last = performance.now();

async function publish(): Promise<void> {
  for (;;) {
    const id = randomUUID();
    for (;;) {
      try {
        const { sequence } = await publisher.publish({ subject: 'container.requested', id, data: { name: 'shop-1' } });
        const now = performance.now();
        print(`${id} ${sequence} ${Math.round(now - last)}`);
        last = now;
        break;
      } catch {
        // No answer, or none that says it is stored: the same id again.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

createInterface({ input: process.stdin }).on('line', () => {
  void Promise.allSettled(monitors.map(replicasAt)).then((found) =>
    print(
      `replicas ${JSON.stringify({
        attachedTo: connection.info?.server_name,
        replicas: found.flatMap((result) => (result.status === 'fulfilled' ? result.value : [])),
      })}`,
    ),
  );
});
print(`ready ${provisioner.info?.version ?? ''}`);
await Promise.all(Array.from({ length: Number(lanes) }, publish));
