/** Names of signals that may ask a container's first process to end. */
const SIGNAL = /^SIG(?:HUP|INT|QUIT|KILL|USR1|USR2|TERM|CONT|WINCH|PWR|RTMIN(?:\+(?:[0-9]|1[0-5]))?)$/;
/** signal(7), x86 and arm. */
const NUMBERS: Readonly<Record<number, string>> = {
  ...{ 1: 'SIGHUP', 2: 'SIGINT', 3: 'SIGQUIT', 9: 'SIGKILL', 10: 'SIGUSR1', 12: 'SIGUSR2', 15: 'SIGTERM' },
  ...{ 18: 'SIGCONT', 28: 'SIGWINCH', 30: 'SIGPWR' },
};
const SIGRTMIN = 34;

/** `TERM`, `sigterm` and `15` are SIGTERM; undefined: it is none of them. */
export function signalName(text: string): string | undefined {
  if (/^\d{1,2}$/.test(text)) {
    const number = Number(text);
    const name = number >= SIGRTMIN ? `SIGRTMIN+${number - SIGRTMIN}` : NUMBERS[number];
    return name !== undefined && SIGNAL.test(name) ? name : undefined;
  }
  const upper = text.toUpperCase();
  const name = upper.startsWith('SIG') ? upper : `SIG${upper}`;
  return SIGNAL.test(name) ? name : undefined;
}

export function signalProblem(text: string): string | undefined {
  return SIGNAL.test(text) ? undefined : 'must be a signal such as SIGTERM';
}
