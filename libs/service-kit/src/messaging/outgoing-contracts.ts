/**
 * Whether what leaves a service keeps its own contract. The compiler sees names and types, not lengths and patterns:
 * with PLINTH_CHECK_CONTRACTS=1, as every test sets it, each fact, status, report, heartbeat and reply is decoded as
 * its receiver would, and a broken one fails in its sender.
 */
import {
  contractFor,
  type ContractKind,
  decodePayload,
  decodeReply,
  type HeartbeatSubject,
  type PayloadOf,
  type Problem,
  type QueryReply,
  type QuerySubject,
  type ReplyOf,
} from '@plinth/contracts';

export class ContractViolationError extends Error {
  override readonly name = 'ContractViolationError';
  constructor(subject: string, problems: readonly Problem[]) {
    const found = problems.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; ');
    super(`${subject} would break its own contract: ${found}`);
  }
}

const isOn = process.env.PLINTH_CHECK_CONTRACTS === '1';
/** Requests are checked by their receiver: any client may send them. */
const FREE: readonly ContractKind[] = ['request', 'query', 'consumers'];

/** @throws ContractViolationError only when the check is on */
export function assertContract(subject: string, data: object): void {
  if (!isOn) return;
  const contract = contractFor(subject);
  if (!contract) return report(subject, [{ path: '', message: 'there is no contract for this subject' }]);
  if (FREE.includes(contract.kind)) return;
  const decoded = decodePayload(contract.payload, Buffer.from(JSON.stringify(data)));
  if (!decoded.ok) report(subject, decoded.problems);
}

/** The body of a heartbeat. @throws ContractViolationError only when the check is on */
export function encodeHeartbeat<S extends HeartbeatSubject>(subject: S, data: PayloadOf<S>): string {
  assertContract(subject, data);
  return JSON.stringify(data);
}

/** The body of an answer. @throws ContractViolationError only when the check is on */
export function encodeReply<S extends QuerySubject>(subject: S, answer: QueryReply<ReplyOf<S>>): string {
  return encodeReplyUnchecked(subject, answer);
}

/** As {@link encodeReply}, where the handler's type was checked before. */
export function encodeReplyUnchecked(subject: string, answer: QueryReply<unknown>): string {
  const body = JSON.stringify(answer);
  if (!isOn || !answer.ok) return body;
  const reply = contractFor(subject)?.reply;
  if (!reply) report(subject, [{ path: '', message: 'there is no contract for its answer' }]);
  else {
    const decoded = decodeReply(reply, (JSON.parse(body) as { readonly data: unknown }).data);
    if (!decoded.ok) report(subject, decoded.problems);
  }
  return body;
}

/** Logged as well as thrown: a caller that catches it may try again and again. */
function report(subject: string, problems: readonly Problem[]): never {
  const error = new ContractViolationError(subject, problems);
  process.stderr.write(`${error.stack ?? error.message}\n`);
  throw error;
}
