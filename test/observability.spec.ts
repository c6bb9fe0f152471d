/** What the files in ops/ refer to is there: runbooks, tests of alerts, metrics that are recorded. */
import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { alerts, expressions, metricNames, recorded } from './observability-files.js';

const read = (path: string): string => readFileSync(path, 'utf8');
const anchors = (document: string): Set<string> =>
  new Set(
    [...document.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-'),
    ),
  );

it('gives each alert a severity, a runbook that is there, and a test', () => {
  const tested = new Set(
    (
      parse(read('ops/prometheus/plinth-rules.test.yml')) as { tests: { alert_rule_test?: { alertname: string }[] }[] }
    ).tests
      .flatMap(({ alert_rule_test: rules = [] }) => rules)
      .map(({ alertname }) => alertname),
  );
  const sections = anchors(read('docs/observability.md'));
  for (const { alert, labels, annotations } of alerts()) {
    expect(['page', 'ticket']).toContain(labels.severity);
    const [file, section = ''] = annotations.runbook.split('#');
    expect(file).toBe('docs/observability.md');
    expect([...sections]).toContain(section);
    expect([...tested]).toContain(alert);
  }
});

it('describes each metric that the rules and the dashboard use, and records each number that they take', () => {
  const described = read('docs/observability.md');
  const used = expressions().flatMap(metricNames);
  const families = used
    .filter((name) => name.startsWith('plinth_'))
    .map((name) => name.replace(/_(?:bucket|sum|count)$/, ''));
  const unknown = [...new Set(families)].filter(
    (name) => !described.includes(`\`${name}`) && !/^plinth_(?:network|names|health)_/.test(name),
  );
  expect(unknown).toEqual([]);
  const taken = new Set(used.filter((name) => name.startsWith('plinth:')));
  expect([...taken].filter((name) => !recorded().includes(name))).toEqual([]);
});

it.each([
  ['a metric and its label', 'sum by (reason) (rate(plinth_a_total{reason="x"}[5m]))', ['plinth_a_total']],
  ['a recorded number', 'plinth:a:b > 1 and up == 0', ['plinth:a:b', 'up']],
])('reads names from expressions: %s', (_name, expression, names) => expect(metricNames(expression)).toEqual(names));
