/** What a browser does between two sites: keeps cookies by site, follows redirects. Without a page. */
export class BrowserJar {
  private readonly cookies = new Map<string, Map<string, string>>();

  /** Cookies that it would send there. */
  cookieFor(address: string): string {
    return [...(this.cookies.get(new URL(address).origin) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  keep(address: string, { headers }: Response): void {
    const { origin } = new URL(address);
    const jar = this.cookies.get(origin) ?? new Map<string, string>();
    for (const line of headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') jar.delete(name);
      else jar.set(name, value);
    }
    this.cookies.set(origin, jar);
  }

  /** Follows redirects until one leads to `stop`. @returns that address, or where it ended */
  async follow(address: string, stop: string): Promise<string> {
    let at = address;
    while (!at.startsWith(stop)) {
      const response = await fetch(at, { redirect: 'manual', headers: { cookie: this.cookieFor(at) } });
      await response.arrayBuffer();
      this.keep(at, response);
      const next = response.headers.get('location');
      if (next === null) return at;
      at = new URL(next, at).href;
    }
    return at;
  }
}
