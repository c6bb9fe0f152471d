/** Access: people, tokens, who did what; and the own password. */
import type { AuditEntry, AuditList, TokenList, TokenMade, UserList } from '@plinth/contracts/console';
import { useState } from 'preact/hooks';
import { Outcome } from './act.js';
import { ask } from './api.js';
import { useAsked } from './asked.js';
import { exact } from './format.js';
import { Ago, Command, Empty } from './parts.js';
import { route, setQuery } from './route.js';
import { session } from './session.js';

const ROLES = ['viewer', 'developer', 'operator', 'admin'];
const wordsOf = (value: FormDataEntryValue | null): string[] =>
  typeof value === 'string' ? value.split(/[\s,]+/).filter(Boolean) : [];
const textOf = (value: FormDataEntryValue | null): string => (typeof value === 'string' ? value : '');

export function Access() {
  const isAdmin = session.value?.role === 'admin';
  return (
    <>
      <h1>Access</h1>
      {isAdmin && <People />}
      <Tokens />
      {isAdmin && <Audit />}
      <p>
        <a href="/account">Your password</a>
      </p>
    </>
  );
}

function People() {
  const { data, problem, again } = useAsked<UserList>('/users');
  const [note, setNote] = useState('');
  const send = (method: string, path: string, body?: object): Promise<boolean> =>
    ask(method, path, { body }).then((answer) => {
      setNote(answer.ok ? '' : answer.detail);
      again();
      return answer.ok;
    });
  return (
    <section aria-labelledby="people">
      <h2 id="people">People</h2>
      <p class="problem" role="status">
        {problem ?? note}
      </p>
      <div class="wide" tabIndex={0} role="region" aria-label="people, as a table">
        <table>
          <thead>
            <tr>
              <th scope="col">name</th>
              <th scope="col">role</th>
              <th scope="col">tenants</th>
              <th scope="col">signs in by</th>
              <th scope="col" class="number">
                sessions
              </th>
              <th scope="col">
                <span class="unseen">act</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {(data?.items ?? []).map(({ name, role, tenants, disabled, hasPassword, sessions }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>
                  <select
                    aria-label={`role of ${name}`}
                    value={role}
                    onChange={(event) => void send('PATCH', `/users/${name}`, { role: event.currentTarget.value })}
                  >
                    {ROLES.map((each) => (
                      <option key={each}>{each}</option>
                    ))}
                  </select>
                </td>
                <td>{role === 'developer' ? tenants.join(' ') : 'all'}</td>
                <td>{disabled ? 'disabled' : hasPassword ? 'password, link' : 'link'}</td>
                <td class="number">{sessions}</td>
                <td>
                  <button
                    type="button"
                    aria-label={`${disabled ? 'enable' : 'disable'} ${name}`}
                    onClick={() => void send('PATCH', `/users/${name}`, { disabled: !disabled })}
                  >
                    {disabled ? 'enable' : 'disable'}
                  </button>{' '}
                  <button
                    type="button"
                    disabled={sessions === 0}
                    aria-label={`end sessions of ${name}`}
                    onClick={() => void send('DELETE', `/users/${name}/sessions`)}
                  >
                    end sessions
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <details>
        <summary>Add a person</summary>
        <form
          class="fields"
          onSubmit={(event) => {
            event.preventDefault();
            const form = event.currentTarget;
            const fields = new FormData(form);
            const password = textOf(fields.get('password'));
            const tenants = wordsOf(fields.get('tenants'));
            const body = {
              name: fields.get('name'),
              role: fields.get('role'),
              ...(tenants.length > 0 ? { tenants } : {}),
              ...(password === '' ? {} : { password }),
            };
            void send('POST', '/users', body).then((isAdded) => isAdded && form.reset());
          }}
        >
          <label>
            Name <input name="name" required maxLength={63} autoComplete="off" />
          </label>
          <RoleFields />
          <label>
            Password (may be empty: links only)
            <input name="password" type="password" minLength={12} maxLength={1000} autoComplete="new-password" />
          </label>
          <button type="submit">Add</button>
        </form>
      </details>
      <Command text="plinth console user add dora --role developer --tenant acme" />
    </section>
  );
}

function RoleFields() {
  return (
    <>
      <label>
        Role{' '}
        <select name="role">
          {ROLES.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      </label>
      <label>
        Tenants of a developer <input name="tenants" placeholder="acme zeta" autoComplete="off" />
      </label>
    </>
  );
}

function Tokens() {
  const { data, problem, again } = useAsked<TokenList>('/tokens');
  const [made, setMade] = useState<TokenMade | undefined>();
  const [note, setNote] = useState('');
  const revoke = (id: string): void => {
    void ask('DELETE', `/tokens/${id}`).then((answer) => {
      setNote(answer.ok ? '' : answer.detail);
      again();
    });
  };
  return (
    <section aria-labelledby="tokens">
      <h2 id="tokens">API tokens</h2>
      <p class="problem" role="status">
        {problem ?? note}
      </p>
      {made && (
        <div class="waiting">
          <p>
            The token <b>{made.entry.name}</b>, shown this once:
          </p>
          <Command text={made.token} />
        </div>
      )}
      {data?.items.length === 0 && (
        <p class="loading">None. A program asks the API with one: `Authorization: Bearer …`.</p>
      )}
      {data && data.items.length > 0 && (
        <div class="wide" tabIndex={0} role="region" aria-label="API tokens, as a table">
          <table>
            <thead>
              <tr>
                <th scope="col">name</th>
                <th scope="col">of</th>
                <th scope="col">role</th>
                <th scope="col">ends</th>
                <th scope="col">last use</th>
                <th scope="col">
                  <span class="unseen">act</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {data.items.map(({ id, name, owner, role, tenants, endsAt, usedAt, revokedAt }) => (
                <tr key={id}>
                  <th scope="row">{name}</th>
                  <td>{owner}</td>
                  <td>
                    {role} {tenants.join(' ')}
                  </td>
                  <td>{revokedAt ? 'revoked' : exact(endsAt)}</td>
                  <td>{usedAt ? <Ago at={usedAt} /> : 'never'}</td>
                  <td>
                    {!revokedAt && (
                      <button type="button" aria-label={`revoke ${name}`} onClick={() => revoke(id)}>
                        revoke
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <details>
        <summary>Make a token</summary>
        <form
          class="fields"
          onSubmit={(event) => {
            event.preventDefault();
            const fields = new FormData(event.currentTarget);
            const tenants = wordsOf(fields.get('tenants'));
            const body = {
              name: fields.get('name'),
              role: fields.get('role'),
              days: Number(fields.get('days')),
              ...(tenants.length > 0 ? { tenants } : {}),
            };
            void ask<TokenMade>('POST', '/tokens', { body }).then((answer) => {
              setMade(answer.ok ? answer.data : undefined);
              setNote(answer.ok ? '' : answer.detail);
              again();
            });
          }}
        >
          <label>
            What it is for <input name="name" required maxLength={63} placeholder="ci" autoComplete="off" />
          </label>
          <RoleFields />
          <label>
            Days until it ends <input name="days" type="number" min={1} max={366} value="90" />
          </label>
          <button type="submit">Make</button>
        </form>
      </details>
    </section>
  );
}

function Audit() {
  const { query } = route.value;
  const [older, setOlder] = useState<readonly AuditEntry[]>([]);
  const [next, setNext] = useState<string | undefined>();
  const asked = ['actor', 'act', 'target'].flatMap((name) => (query.get(name) ? [[name, query.get(name) ?? '']] : []));
  const path = `/audit?${new URLSearchParams([...asked, ['limit', '50']]).toString()}`;
  const { data, problem } = useAsked<AuditList>(path);
  const cursor = older.length > 0 ? next : data?.next;
  return (
    <section aria-labelledby="audit">
      <h2 id="audit">Who did what</h2>
      <div class="filter">
        {(
          [
            ['actor', 'Who', 'alice'],
            ['act', 'What', 'rollout, container.stop'],
            ['target', 'To what', 'h-1'],
          ] as const
        ).map(([name, label, placeholder]) => (
          <label key={name}>
            {label}{' '}
            <input
              type="search"
              value={query.get(name) ?? ''}
              placeholder={placeholder}
              autoComplete="off"
              onInput={(event) => {
                setOlder([]);
                setQuery(name, event.currentTarget.value);
              }}
            />
          </label>
        ))}
      </div>
      <p class="problem" role="status">
        {problem ?? ''}
      </p>
      {data?.items.length === 0 && <Empty>Nobody did anything that fits.</Empty>}
      {data && data.items.length > 0 && (
        <div class="wide" tabIndex={0} role="region" aria-label="who did what, as a table">
          <table>
            <thead>
              <tr>
                <th scope="col">at</th>
                <th scope="col">who</th>
                <th scope="col">did</th>
                <th scope="col">outcome</th>
                <th scope="col">why</th>
                <th scope="col">from</th>
              </tr>
            </thead>
            <tbody>
              {[...data.items, ...older].map((entry) => (
                <tr key={entry.sequence}>
                  <td>{exact(entry.at)}</td>
                  <td>{entry.actor}</td>
                  <td class="text">
                    {entry.requestId === null ? (
                      entry.act
                    ) : (
                      <a href={`/events?request=${entry.requestId}`}>{entry.act}</a>
                    )}{' '}
                    {entry.target ?? ''}
                  </td>
                  <td class="text">
                    <Outcome state={entry.outcome} /> {entry.reason ?? ''}
                  </td>
                  <td class="text">{entry.why ?? entry.message ?? ''}</td>
                  <td>
                    {entry.via} {entry.address ?? ''}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {cursor !== undefined && (
        <button
          type="button"
          onClick={() =>
            void ask<AuditList>('GET', `${path}&cursor=${cursor}`).then((answer) => {
              if (!answer.ok) return;
              setOlder([...older, ...answer.data.items]);
              setNext(answer.data.next);
            })
          }
        >
          older
        </button>
      )}
    </section>
  );
}

export function Account() {
  const [note, setNote] = useState('');
  return (
    <>
      <h1>Your password</h1>
      <p>
        You are {session.value?.name}, {session.value?.role}. With a password you sign in without a link. All your other
        sessions end when you set it.
      </p>
      <form
        class="fields"
        onSubmit={(event) => {
          event.preventDefault();
          const form = event.currentTarget;
          const fields = new FormData(form);
          if (fields.get('password') !== fields.get('again')) {
            setNote('The two are not the same.');
            return;
          }
          void ask('PUT', '/session/password', { body: { password: fields.get('password') } }).then((answer) => {
            setNote(answer.ok ? 'It is set.' : answer.detail);
            if (answer.ok) form.reset();
          });
        }}
      >
        <input type="text" name="username" autoComplete="username" value={session.value?.name} hidden readOnly />
        <label>
          New password, 12 characters or more
          <input name="password" type="password" required minLength={12} maxLength={1000} autoComplete="new-password" />
        </label>
        <label>
          Again{' '}
          <input name="again" type="password" required minLength={12} maxLength={1000} autoComplete="new-password" />
        </label>
        <button type="submit">Set it</button>
      </form>
      <p role="status">{note}</p>
    </>
  );
}
