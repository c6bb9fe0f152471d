import { EVENTS_ABOUT, SUBJECTS } from '@plinth/contracts';
import { type Command, Option } from 'commander';
import { withClient } from '../connection.js';
import { type StartedContainer, waitUntilStarted } from '@plinth/client';
import { ClientError } from '@plinth/client';
import { describePorts } from '../output/network-view.js';
import { print, printJson } from '../output/print.js';
import { duration, withShared } from './options.js';
import { REQUEST_HELP, requestFrom, type RequestOptions, withRequest } from './request-options.js';

interface RunOptions extends RequestOptions {
  requestId?: string;
  wait?: boolean;
  detach?: boolean;
  timeout: number;
}

export function register(program: Command): void {
  withRequest(withShared(program.command('run')).description('request a container and wait until it runs'))
    .option('--request-id <id>', 'the same id twice gives one container')
    .addOption(new Option('--wait', 'wait until it runs (the default)').conflicts('detach'))
    .option('--detach', 'do not wait')
    .addOption(duration('--timeout <duration>', 'how long to wait', '60s'))
    .addHelpText(
      'after',
      '\nA container whose health check fails is unhealthy, and is restarted unless its policy is never.\n' +
        `${REQUEST_HELP}\n` +
        '\nExamples:\n  plinth run debian-12@v1 --name shop-1 --memory 256M -- /bin/sleep infinity\n' +
        '  plinth run --name web-1 --health-cmd "curl -sf http://127.0.0.1/" --health-start-period 30s\n' +
        '  plinth run --name web-2 --sw hello-web --publish 8080:80 --egress none',
    )
    .action(async (_image: string | undefined, _words: string[], options: RunOptions, command: Command) => {
      const body = requestFrom(command, options);
      await withClient(options.nats, async (client) => {
        const begin = performance.now();
        const stream = await client.request(SUBJECTS.containerRequested, body, {
          id: options.requestId,
          facts: [EVENTS_ABOUT.containers],
        });
        try {
          if (options.detach) {
            print(options, { requestId: stream.requestId }, () => stream.requestId);
            return;
          }
          const started = await waitUntilStarted(client, stream, options.timeout);
          print(options, started, () => sentence(started, performance.now() - begin));
        } catch (error) {
          if (options.json && error instanceof ClientError)
            printJson({ ok: false, requestId: stream.requestId, reason: error.reason, message: error.message });
          throw error;
        } finally {
          stream.close();
        }
      });
    });
}

function sentence(started: StartedContainer, elapsedMs: number): string {
  const fallback = started.fallbackReason
    ? `; asked for ${started.imageAsked ?? 'nothing'}: ${started.fallbackReason}, so the default is used`
    : '';
  const ports = describePorts(started.ports);
  const address = started.address?.ipv4 ?? started.addresses?.[0];
  const known = started.dnsName ? `, known as ${started.dnsName}` : '';
  // The loopback belongs to the host's own programs.
  const where = ports ? `\nports ${ports}, on the addresses of ${started.host} other than 127.0.0.1 and ::1` : '';
  const network = address ? `\naddress ${address}${known}${where}` : '';
  return (
    `${started.name} runs on ${started.host} with ${started.image}, pid ${started.pid}, ` +
    `in ${elapsedMs.toFixed(0)} ms${fallback}${network}\n${started.containerId}`
  );
}
