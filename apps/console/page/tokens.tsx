/** Tokens with which programs ask the API. */
import type { TokenList, TokenMade } from '@plinth/contracts/console';
import { useState } from 'preact/hooks';
import { useChangeable } from './asked.js';
import { Form } from './form.js';
import { exact } from './format.js';
import { Ago, Command, Problem } from './parts.js';
import { RoleFields, roleOf } from './roles.js';
import { Table } from './table.js';

export function Tokens() {
  const { data, problem, change } = useChangeable<TokenList>('/tokens');
  const [made, setMade] = useState<TokenMade | undefined>();
  return (
    <section aria-labelledby="tokens">
      <h2 id="tokens">API tokens</h2>
      <Problem text={problem} />
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
        <Table label="API tokens, as a table" head={['name', 'of', 'role', 'ends', 'last use', { unseen: 'act' }]}>
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
                  <button
                    type="button"
                    aria-label={`revoke ${name}`}
                    onClick={() => void change('DELETE', `/tokens/${id}`)}
                  >
                    revoke
                  </button>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
      <details>
        <summary>Make a token</summary>
        <Form
          onSend={(typed) => {
            const body = { ...roleOf(typed), days: Number(typed.text('days')) };
            void change<TokenMade>('POST', '/tokens', body).then((answer) =>
              setMade(answer.ok ? answer.data : undefined),
            );
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
        </Form>
      </details>
    </section>
  );
}
