/** The sets and maps that containers have elements in: their types, as the table declares them. Pure. */

export type FieldType = 'ifname' | 'ipv4_addr' | 'ipv6_addr' | 'mark' | 'inet_proto' | 'inet_service';

export interface SetType {
  readonly key: readonly FieldType[];
  /** Of maps. */
  readonly value?: readonly FieldType[];
  /** Whether a field of a key may be a range. */
  readonly interval?: true;
}

export const SETS: Readonly<Record<string, SetType>> = {
  tenant4: { key: ['ifname', 'ipv4_addr'], value: ['mark'] },
  tenant6: { key: ['ifname', 'ipv6_addr'], value: ['mark'] },
  member4: { key: ['mark', 'ipv4_addr'] },
  member6: { key: ['mark', 'ipv6_addr'] },
  remote4: { key: ['mark', 'ipv4_addr'] },
  remote6: { key: ['mark', 'ipv6_addr'] },
  tenants4: { key: ['ipv4_addr'], value: ['mark'] },
  tenants6: { key: ['ipv6_addr'], value: ['mark'] },
  hosts4: { key: ['ipv4_addr'] },
  hosts6: { key: ['ipv6_addr'] },
  ports4: { key: ['inet_proto', 'inet_service'], value: ['ipv4_addr', 'inet_service'] },
  ports6: { key: ['inet_proto', 'inet_service'], value: ['ipv6_addr', 'inet_service'] },
  bound4: { key: ['ipv4_addr', 'inet_proto', 'inet_service'], value: ['ipv4_addr', 'inet_service'] },
  bound6: { key: ['ipv6_addr', 'inet_proto', 'inet_service'], value: ['ipv6_addr', 'inet_service'] },
  limited4: { key: ['ipv4_addr'] },
  limited6: { key: ['ipv6_addr'] },
  networks4: { key: ['ipv4_addr', 'ipv4_addr'], interval: true },
  networks6: { key: ['ipv6_addr', 'ipv6_addr'], interval: true },
  services4: { key: ['ipv4_addr', 'ipv4_addr', 'inet_proto', 'inet_service'], interval: true },
  services6: { key: ['ipv6_addr', 'ipv6_addr', 'inet_proto', 'inet_service'], interval: true },
  limited_tenants: { key: ['mark'] },
  tenant_networks4: { key: ['mark', 'ipv4_addr'], interval: true },
  tenant_networks6: { key: ['mark', 'ipv6_addr'], interval: true },
  tenant_services4: { key: ['mark', 'ipv4_addr', 'inet_proto', 'inet_service'], interval: true },
  tenant_services6: { key: ['mark', 'ipv6_addr', 'inet_proto', 'inet_service'], interval: true },
};

/** Their declarations, as nft(8) reads them. */
export function setsText(): string {
  return Object.entries(SETS)
    .map(([name, { key, value, interval }]) => {
      const type = [key, value ?? []].flatMap((fields) => (fields.length > 0 ? [fields.join(' . ')] : [])).join(' : ');
      const flags = interval ? ' flags interval;' : '';
      return `  ${value === undefined ? 'set' : 'map'} ${name} { type ${type};${flags} }`;
    })
    .join('\n');
}
