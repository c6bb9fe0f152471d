/** Names of containers: what agents write of them, and the resolver that answers queries. */
export { addressKey, containerName, DOMAIN_PATTERN, LABEL_PATTERN } from './labels.js';
export { MOST_NAME_SERVERS, nameServers } from './name-servers.js';
export { LOG_FILE, NODE_OPTIONS, PID_FILE, RESOLVER_ID, runResolver } from './program.js';
export {
  type Asked,
  askStatus,
  type Counter,
  COUNTERS,
  RESOLVER_ADDRESS,
  RESOLVER_ADDRESS6,
  RESOLVER_PORT,
  type ResolverStatus,
  STATUS_NAME,
} from './status.js';
export { ZONE_SUFFIX } from './zone-files.js';
export {
  FORMAT,
  goneLine,
  headerLine,
  type NamedContainer,
  readChange,
  readHeader,
  setLine,
  type ZoneHeader,
} from './zone-journal.js';
