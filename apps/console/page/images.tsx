/** Images: versions, where they are, what needs them; and what is done with them. */
import type { ImageSummary } from '@plinth/contracts';
import type { ImageList, ImageUsesAnswer } from '@plinth/contracts/console';
import { type Action, Actions, actionsOn } from './act.js';
import { useAsked } from './asked.js';
import { count, counted } from './format.js';
import { containersInOrder, values } from './live.js';
import { Empty, Mark, type Tone } from './parts.js';
import { startRollout } from './rollouts.js';
import { listOf, route, setQuery } from './route.js';
import { Table } from './table.js';

const refOf = ({ name, version }: ImageSummary): string => `${name}@${version}`;
const numberOf = (version: string): number => Number(version.slice(1));
const TONES: Readonly<Record<string, readonly [string, Tone]>> = {
  promoted: ['●', 'good'],
  tested: ['◐', 'busy'],
  building: ['◌', 'busy'],
  built: ['◌', 'busy'],
  revoked: ['⊘', 'bad'],
  retired: ['·', 'idle'],
  rejected: ['✕', 'bad'],
};

export function Images() {
  const nodes = values('storage')
    .map(({ node, images }) => ({ node, images: new Set(images) }))
    .sort((a, b) => a.node.localeCompare(b.node, 'en', { numeric: true }));
  // A build or an arrival on a node changes what there is.
  const stamp = JSON.stringify([values('builds'), nodes.map(({ images }) => [...images])]);
  const { data, problem } = useAsked<ImageList>('/images', stamp);
  const chosen = route.value.query.get('image') ?? '';
  const used = new Map<string, number>();
  for (const { image } of containersInOrder()) if (image) used.set(image, (used.get(image) ?? 0) + 1);
  if (!data)
    return problem === undefined ? <p class="loading">Loading…</p> : <Empty command="plinth image ls">{problem}</Empty>;
  const names = [...new Set(data.items.map(({ name }) => name))].sort();
  return (
    <>
      <h1>Images</h1>
      {names.length === 0 && (
        <Empty command="plinth image build recipes/debian-12.yaml">No image was built so far.</Empty>
      )}
      {names.map((name) => (
        <section key={name} aria-labelledby={`image-${name}`}>
          <h2 id={`image-${name}`}>{name}</h2>
          <Table
            label={`versions of ${name}`}
            head={['version', 'state', { number: 'containers' }, ...nodes.map(({ node }) => node), { unseen: 'act' }]}
          >
            {data.items
              .filter((image) => image.name === name)
              .sort((a, b) => numberOf(b.version) - numberOf(a.version))
              .map((image) => {
                const ref = refOf(image);
                const [glyph, tone] = TONES[image.state] ?? ['?', 'idle'];
                return (
                  <tr key={ref} class={ref === chosen ? 'chosen' : undefined}>
                    <th scope="row">
                      {image.version}
                      {image.defaultVersion ? (image.defaultOs ? ' ★ default OS' : ' ☆ default') : ''}
                    </th>
                    <td>
                      <Mark glyph={glyph} tone={tone} text={image.state} />
                    </td>
                    <td class="number">
                      <a href={listOf(`image:${ref}`)}>{count(used.get(ref) ?? 0)}</a>
                    </td>
                    {nodes.map(({ node, images }) => (
                      <td key={node}>
                        {/* Statuses of nodes come now and then, arrivals are known at once. */}
                        {images.has(ref) || image.storageNodes.includes(node) ? (
                          <Mark glyph="✓" tone="good" text="there" />
                        ) : image.state === 'promoted' ? (
                          <Mark glyph="…" tone="busy" text="to come" />
                        ) : (
                          '–'
                        )}
                      </td>
                    ))}
                    <td>
                      <button
                        type="button"
                        aria-expanded={ref === chosen}
                        aria-label={`${ref === chosen ? 'less' : 'more'} about ${ref}`}
                        onClick={() => setQuery('image', ref === chosen ? '' : ref)}
                      >
                        {ref === chosen ? 'less' : 'more'}
                      </button>
                    </td>
                  </tr>
                );
              })}
          </Table>
          {data.items
            .filter((image) => image.name === name && refOf(image) === chosen)
            .map((image) => (
              <Version key={chosen} image={image} />
            ))}
        </section>
      ))}
    </>
  );
}

/** What needs it is asked before anything is offered that can't be undone. */
function Version({ image }: { readonly image: ImageSummary }) {
  const ref = refOf(image);
  const { data: uses, problem } = useAsked<ImageUsesAnswer>(`/images/${ref}/uses`);
  const radius = uses ? radiusOf(uses) : (problem ?? 'What needs it is being asked…');
  const action = actionsOn('image', ref);
  const isHere = image.state === 'promoted';
  const actions: Action[] = [
    ...(image.state === 'tested'
      ? [action('Promote', 'promote', `${ref} goes into production: every storage node fetches it.`)]
      : []),
    ...(isHere && !image.defaultOs
      ? [
          action(
            'Make the default',
            'activate',
            `New containers get ${ref} unless they name another; those that follow the default are moved to it.`,
          ),
        ]
      : []),
    ...(isHere ? [startRollout(image.name, ref)] : []),
    ...(isHere
      ? [
          action('Revoke', 'revoke', `Nothing new starts on ${ref}; what runs goes on. ${radius}`, {
            why: 'needed',
            typed: ref,
            command: `plinth image revoke ${ref} --reason …`,
          }),
        ]
      : []),
    ...(isHere || image.state === 'revoked'
      ? [
          action(
            'Retire',
            'retire',
            `${ref} is removed from every storage node and the repository; it is refused while anything needs it. ${radius}`,
            { typed: ref },
          ),
        ]
      : []),
  ];
  return (
    <div class="version">
      <h3>{ref}</h3>
      <p>{radius}</p>
      {uses && uses.containers > 0 && (
        <ul class="reasons">
          {Object.entries(uses.tenants)
            .slice(0, 8)
            .map(([tenant, number]) => (
              <li key={tenant}>
                <a href={listOf(`image:${ref} tenant:${tenant}`)}>{count(number)}</a> of tenant {tenant}
              </li>
            ))}
          {uses.rollouts.map((id) => (
            <li key={id}>
              <a href={`/rollouts/${id}`}>rollout {id.slice(0, 8)}</a>
            </li>
          ))}
        </ul>
      )}
      <Actions actions={actions} label={`what can be done with ${ref}`} />
    </div>
  );
}

function radiusOf({ containers, tenants, hosts, rollouts }: ImageUsesAnswer): string {
  if (containers === 0 && rollouts.length === 0) return 'Nothing needs it.';
  const parts = [
    counted(containers, 'container'),
    `of ${counted(Object.keys(tenants).length, 'tenant')}`,
    `on ${counted(Object.keys(hosts).length, 'host')}`,
  ];
  const more = rollouts.length > 0 ? `, and ${counted(rollouts.length, 'rollout')} in progress` : '';
  return `Needed by ${parts.join(' ')}${more}.`;
}
