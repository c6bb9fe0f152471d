/** Acts: a button, a question that states what happens, the request, and what became of it. */
import { signal } from '@preact/signals';
import { CONSOLE_ACTS } from '@plinth/contracts/acts';
import type { RequestAnswer } from '@plinth/contracts/console';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask } from './api.js';
import { Command, Mark } from './parts.js';
import { session } from './session.js';

/** Asked of the person before it is sent. */
export interface Field {
  readonly name: string;
  readonly label: string;
  readonly placeholder?: string;
  readonly value?: string;
  readonly required?: boolean;
  readonly type?: 'text' | 'number';
}

export interface Action {
  /** On the button. */
  readonly label: string;
  /** As in the contracts: `container.stop`. */
  readonly act: string;
  /** Below `/api/v1`. */
  readonly path: string;
  readonly what: ComponentChildren;
  readonly fields?: readonly Field[];
  /** @throws Error for people, when the fields are no request */
  readonly body?: (fields: Readonly<Record<string, string>>) => object;
  readonly command: string | ((fields: Readonly<Record<string, string>>) => string);
  /** To be typed: for what can't be undone. */
  readonly typed?: string;
  /** A reason has to be given. */
  readonly why?: 'needed' | 'asked';
}

type Kind = 'host' | 'image' | 'rollout';

/**
 * Makes the actions on one thing: act, path and command follow from the verb.
 * @param inCommand how its commands name it
 */
export const actionsOn =
  (kind: Kind, id: string, inCommand = id) =>
  (label: string, verb: string, what: string, more: Partial<Action> = {}): Action => ({
    label,
    act: `${kind}.${verb}`,
    path: `/${kind}s/${id}/${verb}`,
    what,
    command: `plinth ${kind} ${verb} ${inCommand}`,
    ...more,
  });

const WAIT_SECONDS = 10;

/** Whether the role of the person may do it at all. */
export function mayAct(name: string): boolean {
  const role = session.value?.role;
  return CONSOLE_ACTS.some((act) => act.name === name && act.roles.some((allowed) => allowed === role));
}

/** Buttons of what the person may do; those that the role may not are named in one line. */
export function Actions({ actions, label }: { readonly actions: readonly Action[]; readonly label: string }) {
  const allowed = actions.filter(({ act }) => mayAct(act));
  const denied = actions.filter(({ act }) => !mayAct(act));
  return (
    <div class="actions" role="group" aria-label={label}>
      {allowed.map((action) => (
        <Act key={action.label} action={action} />
      ))}
      {denied.length > 0 && (
        <span class="hint-line">
          The role {session.value?.role} may not: {denied.map((action) => action.label.toLowerCase()).join(', ')}.
        </span>
      )}
    </div>
  );
}

/** The question that is open: it stays while what it is about changes, and with that the buttons. */
const opened = signal<{ readonly action: Action } | undefined>(undefined);

export function Act({ action }: { readonly action: Action }) {
  return (
    <button type="button" onClick={() => (opened.value = { action })}>
      {action.label}
    </button>
  );
}

export function OpenQuestion() {
  const open = opened.value;
  if (!open) return null;
  return <Question action={open.action} close={() => (opened.value = undefined)} />;
}

type Outcome = { readonly answer?: RequestAnswer; readonly problem?: string };

function Question({ action, close }: { readonly action: Action; readonly close: () => void }) {
  const { fields = [], typed, why = 'asked' } = action;
  const dialog = useRef<HTMLDialogElement>(null);
  // One question is one request, however often its button is pressed.
  const [key] = useState(newKey);
  const [given, setGiven] = useState<Readonly<Record<string, string>>>(
    Object.fromEntries(fields.map(({ name, value = '' }) => [name, value])),
  );
  const [reason, setReason] = useState('');
  const [word, setWord] = useState('');
  const [isBusy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome>({});
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const send = (): void => {
    let body: object;
    try {
      body = { ...action.body?.(given), ...(reason === '' ? {} : { reason }) };
    } catch (error) {
      setOutcome({ problem: error instanceof Error ? error.message : String(error) });
      return;
    }
    setBusy(true);
    setOutcome({});
    void ask<RequestAnswer>('POST', `${action.path}?wait=${WAIT_SECONDS}`, { body, key }).then((answer) => {
      setBusy(false);
      setOutcome(answer.ok ? { answer: answer.data } : { problem: answer.detail });
    });
  };
  const { answer, problem } = outcome;
  const command = typeof action.command === 'string' ? action.command : action.command(given);
  return (
    <dialog ref={dialog} class="question" aria-labelledby="question" onClose={close}>
      <h2 id="question">{action.label}</h2>
      <div class="what">{action.what}</div>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        {fields.map(({ name, label, placeholder, required = false, type = 'text' }) => (
          <label key={name}>
            {label}
            <input
              name={name}
              inputMode={type === 'number' ? 'decimal' : 'text'}
              value={given[name]}
              placeholder={placeholder}
              required={required}
              maxLength={500}
              autoComplete="off"
              onInput={(event) => setGiven({ ...given, [name]: event.currentTarget.value })}
            />
          </label>
        ))}
        <label>
          {why === 'needed' ? 'Why (on record)' : 'Why (on record, may be empty)'}
          <input
            name="why"
            value={reason}
            required={why === 'needed'}
            maxLength={500}
            autoComplete="off"
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </label>
        {typed !== undefined && (
          <label>
            <span>
              Type <b>{typed}</b>: this can’t be undone
            </span>
            <input
              name="typed"
              value={word}
              autoComplete="off"
              spellcheck={false}
              onInput={(event) => setWord(event.currentTarget.value)}
            />
          </label>
        )}
        <Command text={command} />
        <p class="result" role="status">
          {isBusy && 'Sent; waiting for the answer…'}
          {answer && <Result answer={answer} />}
          {problem !== undefined && <span class="bad">{problem}</span>}
        </p>
        <p class="buttons">
          {!answer && (
            <button type="submit" class="main" disabled={isBusy || (typed !== undefined && word !== typed)}>
              {action.label}
            </button>
          )}
          <button type="button" onClick={() => dialog.current?.close()}>
            {answer ? 'Close' : 'Cancel'}
          </button>
        </p>
      </form>
    </dialog>
  );
}

export function Result({ answer }: { readonly answer: Pick<RequestAnswer, 'id' | 'state' | 'reason' | 'message'> }) {
  return (
    <>
      <Outcome state={answer.state} /> {answer.reason ?? ''}
      {answer.message ? `: ${answer.message}` : ''}{' '}
      <a href={`/events?request=${answer.id}`} onClick={() => (opened.value = undefined)}>
        what followed
      </a>
    </>
  );
}

export function Outcome({ state }: Pick<RequestAnswer, 'state'>) {
  const [glyph, tone] = (
    { pending: ['◐', 'busy'], done: ['✓', 'good'], failed: ['✕', 'bad'], refused: ['⊘', 'bad'] } as const
  )[state];
  return <Mark glyph={glyph} tone={tone} text={state} />;
}

function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
