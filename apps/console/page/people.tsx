/** People who may sign in. */
import type { UserList } from '@plinth/contracts/console';
import { useChangeable } from './asked.js';
import { Form } from './form.js';
import { Command, Problem } from './parts.js';
import { RoleFields, roleOf, RoleOptions } from './roles.js';
import { Table } from './table.js';

const userPath = (name: string): string => `/users/${encodeURIComponent(name)}`;

export function People() {
  const { data, problem, change } = useChangeable<UserList>('/users');
  return (
    <section aria-labelledby="people">
      <h2 id="people">People</h2>
      <Problem text={problem} />
      <Table
        label="people, as a table"
        head={['name', 'role', 'tenants', 'signs in by', { number: 'sessions' }, { unseen: 'act' }]}
      >
        {(data?.items ?? []).map(({ name, role, tenants, disabled, hasPassword, fromProvider, sessions }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>
              <select
                aria-label={`role of ${name}`}
                value={role}
                disabled={fromProvider}
                title={fromProvider ? 'The groups at the provider give it' : undefined}
                onChange={(event) => void change('PATCH', userPath(name), { role: event.currentTarget.value })}
              >
                <RoleOptions />
              </select>
            </td>
            <td>{role === 'developer' ? tenants.join(' ') : 'all'}</td>
            <td>{disabled ? 'disabled' : fromProvider ? 'provider' : hasPassword ? 'password, link' : 'link'}</td>
            <td class="number">{sessions}</td>
            <td>
              <button
                type="button"
                aria-label={`${disabled ? 'enable' : 'disable'} ${name}`}
                onClick={() => void change('PATCH', userPath(name), { disabled: !disabled })}
              >
                {disabled ? 'enable' : 'disable'}
              </button>{' '}
              <button
                type="button"
                disabled={sessions === 0}
                aria-label={`end sessions of ${name}`}
                onClick={() => void change('DELETE', `${userPath(name)}/sessions`)}
              >
                end sessions
              </button>
            </td>
          </tr>
        ))}
      </Table>
      <details>
        <summary>Add a person</summary>
        <Form
          onSend={(typed) => {
            const password = typed.text('password');
            const body = { ...roleOf(typed), ...(password === '' ? {} : { password }) };
            void change('POST', '/users', body).then(({ ok }) => ok && typed.empty());
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
        </Form>
      </details>
      <Command text="plinth console user add dora --role developer --tenant acme" />
    </section>
  );
}
