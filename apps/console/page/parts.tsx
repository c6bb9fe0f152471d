/** What several views show: states, times, commands, bars. */
import type { ContainerState, ContainerStatus } from '@plinth/contracts';
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { exact, now, span } from './format.js';

export type Tone = 'good' | 'busy' | 'bad' | 'idle';
const STATES: Readonly<Record<ContainerState, readonly [glyph: string, tone: Tone]>> = {
  running: ['●', 'good'],
  requested: ['◌', 'busy'],
  scheduled: ['◌', 'busy'],
  starting: ['◐', 'busy'],
  stopping: ['◑', 'busy'],
  stopped: ['○', 'idle'],
  failed: ['✕', 'bad'],
  lost: ['?', 'bad'],
  removed: ['·', 'idle'],
};

export function State({ state }: { readonly state: ContainerState }) {
  const [glyph, tone] = STATES[state];
  return <Mark glyph={glyph} tone={tone} text={state} />;
}

/** Glyph, word and colour: never the colour alone. */
export function Mark({ glyph, tone, text }: { readonly glyph: string; readonly tone: Tone; readonly text: string }) {
  return (
    <span class={`mark ${tone}`}>
      <span aria-hidden="true" class="glyph">
        {glyph}
      </span>{' '}
      {text}
    </span>
  );
}

export function Health({ health }: Pick<ContainerStatus, 'health'>) {
  if (health === null || health === undefined) return null;
  const [glyph, tone] = ({ healthy: ['✓', 'good'], unhealthy: ['✕', 'bad'], starting: ['…', 'busy'] } as const)[health];
  return <Mark glyph={glyph} tone={tone} text={health} />;
}

/** How long ago, with the exact time for a pointer that rests on it. */
export function Ago({ at }: { readonly at: string }) {
  return (
    <time dateTime={at} title={exact(at)}>
      {span(now.value - Date.parse(at))} ago
    </time>
  );
}

export function Command({ text }: { readonly text: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return (
    <span class="command">
      <code>{text}</code>
      <button type="button" onClick={copy} aria-label={`copy ${text}`}>
        {isCopied ? 'copied' : 'copy'}
      </button>
    </span>
  );
}

export function Empty({ children, command }: { readonly children: ComponentChildren; readonly command?: string }) {
  return (
    <div class="empty">
      <p>{children}</p>
      {command !== undefined && <Command text={command} />}
    </div>
  );
}

export type Fact = readonly [label: string, value: ComponentChildren];

export function Facts({ facts, id }: { readonly facts: readonly Fact[]; readonly id: string }) {
  return (
    <dl class="facts">
      {facts.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
      <div class="long">
        <dt>id</dt>
        <dd>
          <code>{id}</code>
        </dd>
      </div>
    </dl>
  );
}

/** What went wrong, as soon as it does. */
export function Problem({ text }: { readonly text: string | undefined }) {
  return (
    <p class="problem" role="status">
      {text ?? ''}
    </p>
  );
}

/** Share of something that is used, 0 to 1. */
export function Bar({ share, label }: { readonly share: number; readonly label: string }) {
  const percent = Math.round(Math.min(1, Math.max(0, share)) * 100);
  return (
    <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={label}>
      <rect class="room" width="100" height="8" />
      <rect class={percent > 90 ? 'fill full' : 'fill'} width={percent} height="8" />
    </svg>
  );
}
