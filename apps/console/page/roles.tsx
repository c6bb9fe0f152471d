/** Roles, and which tenants a developer has. */
import type { Typed } from './form.js';

export const RoleOptions = () => (
  <>
    {['viewer', 'developer', 'operator', 'admin'].map((role) => (
      <option key={role}>{role}</option>
    ))}
  </>
);

export function RoleFields() {
  return (
    <>
      <label>
        Role{' '}
        <select name="role">
          <RoleOptions />
        </select>
      </label>
      <label>
        Tenants of a developer <input name="tenants" placeholder="acme zeta" autoComplete="off" />
      </label>
    </>
  );
}

/** Name, role and tenants, as the API takes them. */
export function roleOf({ text, words }: Typed): object {
  const tenants = words('tenants');
  return { name: text('name'), role: text('role'), ...(tenants.length > 0 ? { tenants } : {}) };
}
