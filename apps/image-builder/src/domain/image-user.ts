/** Looks a user up the way `docker run --user` does, in the texts of an image's /etc/passwd and /etc/group. */
import { type ImageUser, MANIFEST_LIMITS } from '@plinth/contracts';

export type FoundUser =
  | { readonly ok: true; readonly user: ImageUser }
  | { readonly ok: false; readonly problem: string };

const MAX_GROUPS = 256;

/**
 * A number needs no line in passwd; its group is then 0. Other groups of the user count only when the text names no
 * group.
 * @param name `user` or `user:group`, names or numbers
 */
export function findUser(name: string, passwd: string, group: string): FoundUser {
  const [userText = '', groupText] = name.split(':');
  const users = lines(passwd);
  const groups = lines(group);
  const line = users.find((fields) => fields[0] === userText) ?? users.find((fields) => fields[2] === userText);
  const uid = line ? idOf(line[2]) : idOf(userText);
  if (uid === undefined) return { ok: false, problem: `the image's /etc/passwd has no user ${userText}` };
  if (groupText === undefined) {
    const gid = line ? idOf(line[3]) : 0;
    if (gid === undefined) return { ok: false, problem: `the user ${userText} has no valid group in /etc/passwd` };
    const more = groups
      .filter((fields) => line?.[0] !== undefined && (fields[3] ?? '').split(',').includes(line[0]))
      .flatMap((fields) => idOf(fields[2]) ?? []);
    const additionalGids = [...new Set(more)].filter((id) => id !== gid).sort((a, b) => a - b);
    if (additionalGids.length > MAX_GROUPS)
      return { ok: false, problem: `the user ${userText} is in more than ${MAX_GROUPS} groups` };
    return { ok: true, user: { name, uid, gid, additionalGids } };
  }
  const groupLine = groups.find((fields) => fields[0] === groupText);
  const gid = idOf(groupLine ? groupLine[2] : groupText);
  if (gid === undefined) return { ok: false, problem: `the image's /etc/group has no group ${groupText}` };
  return { ok: true, user: { name, uid, gid, additionalGids: [] } };
}

function lines(database: string): readonly (readonly string[])[] {
  return database.split('\n').map((line) => line.split(':'));
}

function idOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,5}$/.test(text) && Number(text) <= MANIFEST_LIMITS.ownerId
    ? Number(text)
    : undefined;
}
