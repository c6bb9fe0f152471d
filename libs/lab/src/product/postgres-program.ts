/**
 * Runs inside of a lab's machine: starts a PostgreSQL there, which goes on, and prints its URL.
 * Arguments: directory, port, the machine's address, the lab's network.
 */
import { startPostgresServer } from '@plinth/local-servers';

const [directory = '', port = '', address = '', network = ''] = process.argv.slice(2);
const { url } = await startPostgresServer({
  directory,
  port: Number(port),
  life: 'background',
  network: { listen: address, clients: [network] },
});
process.stdout.write(`${url}\n`);
