/** The own password. */
import { useState } from 'preact/hooks';
import { ask } from './api.js';
import { Form, type Typed } from './form.js';
import { session } from './session.js';

export function Account() {
  const [note, setNote] = useState('');
  const send = ({ text, empty }: Typed): void => {
    if (text('password') !== text('again')) {
      setNote('The two are not the same.');
      return;
    }
    void ask('PUT', '/session/password', { body: { password: text('password') } }).then((answer) => {
      setNote(answer.ok ? 'It is set.' : answer.detail);
      if (answer.ok) empty();
    });
  };
  if (session.value?.fromProvider)
    return (
      <>
        <h1>Your account</h1>
        <p>
          You are {session.value.name}, {session.value.role}. Your provider has your password; your groups there give
          you the role, at each sign-in.
        </p>
      </>
    );
  return (
    <>
      <h1>Your password</h1>
      <p>
        You are {session.value?.name}, {session.value?.role}. With a password you sign in without a link. All your other
        sessions end when you set it.
      </p>
      <Form onSend={send}>
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
      </Form>
      <p role="status">{note}</p>
    </>
  );
}
