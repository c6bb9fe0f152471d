/** Access: people, tokens, who did what. */
import { Audit } from './audit.js';
import { People } from './people.js';
import { session } from './session.js';
import { Tokens } from './tokens.js';

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
