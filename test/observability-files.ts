/** What the rules and the dashboard in ops/ name. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

interface Rule {
  readonly expr: string;
  readonly record?: string;
  readonly alert?: string;
  readonly labels?: { readonly severity?: string };
  readonly annotations?: { readonly summary: string; readonly runbook: string };
}
interface Panel {
  readonly targets?: readonly { readonly expr: string }[];
}

/** Tests are run there. */
const INSTALLATION = process.cwd();
const RULES = join(INSTALLATION, 'ops/prometheus');

function rules(): readonly Rule[] {
  return readdirSync(RULES)
    .filter((name) => name.endsWith('.rules.yml'))
    .flatMap((name) => (parse(readFileSync(join(RULES, name), 'utf8')) as { groups: { rules: Rule[] }[] }).groups)
    .flatMap((group) => group.rules);
}

export function alerts(): readonly Required<Rule>[] {
  return rules().filter((rule): rule is Required<Rule> => rule.alert !== undefined);
}

export function recorded(): readonly string[] {
  return rules().flatMap(({ record }) => record ?? []);
}

/** Of all rules and panels. */
export function expressions(): readonly string[] {
  const { panels } = JSON.parse(readFileSync(join(INSTALLATION, 'ops/grafana/plinth.json'), 'utf8')) as {
    panels: readonly Panel[];
  };
  return [...rules().map(({ expr }) => expr), ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))];
}

/** Names of metrics in an expression: ours, and those that Prometheus or the process has. */
export function metricNames(expression: string): readonly string[] {
  const bare = expression.replaceAll(/"[^"]*"/g, '').replaceAll(/\{[^}]*\}/g, '');
  return [...bare.matchAll(/\b(?:plinth[_:][a-z0-9_:]+|process_[a-z_]+|up)\b/g)].map(([name]) => name);
}
