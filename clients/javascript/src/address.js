/**
 * Where a daemon is. All clients understand the same spellings and refuse the others in the same words:
 * ../../addresses.json has them.
 */

const DEFAULT_SERVER = 'tcp://127.0.0.1:9999';
/** The ports that an address may leave out. */
const PORTS = { tcp: 9999, tls: 9999, ws: 9998, wss: 9998 };
const OPTIONS = ['ca', 'cert', 'key', 'host'];
const HOST = /^[0-9A-Za-z._-]+$/;
/** The white space that may surround an address. */
const BLANK = /^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g;

/** The server where nobody tells one: GLOCK_SERVER or the port of the original; in a page, whoever the page is from. */
export function configuredServer() {
  const { process, location } = globalThis;
  if (process?.versions?.node === undefined && location !== undefined) {
    const secure = location.protocol === 'https:';
    return `${secure ? 'wss' : 'ws'}://${location.hostname}:${location.port || (secure ? 443 : 80)}/`;
  }
  const server = process?.env.GLOCK_SERVER ?? '';
  return server.replace(BLANK, '') === '' ? DEFAULT_SERVER : server;
}

/** The secret where nobody tells one. */
export function configuredSecret() {
  return globalThis.process?.env?.GLOCK_SECRET ?? '';
}

/**
 * The one daemon that an address names: its kind (tcp, unix, tls, ws, wss), host and port or path, options, and url, the
 * canonical spelling without options.
 *
 * @param {string} server
 * @throws {TypeError} if it names none, or several
 */
export function parseServer(server) {
  const found = parseServers(server);
  if (found.length > 1) {
    throw wrong(server, 'this client takes one server, not several');
  }
  return found[0];
}

/** The daemons that an address, or several with commas between them, names. */
export function parseServers(server) {
  const parts = server.split(',').map((part) => part.replace(BLANK, ''));
  const found = new Map();
  for (const part of parts) {
    if (part === '') {
      throw wrong(server, parts.length > 1 ? 'one of several servers is empty' : 'it is empty');
    }
    const one = parse(server, part);
    if (found.has(one.url)) {
      throw wrong(server, 'a server is named twice');
    }
    found.set(one.url, one);
  }
  return [...found.values()];
}

function parse(server, part) {
  const [, scheme, rest] = /^(.*?):\/\/(.*)$/s.exec(part) ?? [];
  const kind = scheme?.toLowerCase();
  if (part.startsWith('/')) {
    return unix(server, part);
  }
  if (kind === 'unix') {
    return unix(server, rest);
  }
  if (kind !== undefined && !Object.hasOwn(PORTS, kind)) {
    throw wrong(server, 'it begins with none of tcp:// unix:// tls:// ws:// wss://');
  }
  if (kind === undefined && /^unix:/i.test(part)) {
    return unix(server, part.slice('unix:'.length));
  }
  return remote(server, kind ?? 'tcp', rest ?? part);
}

function unix(server, path) {
  if (!path.startsWith('/') || path.includes('\0')) {
    throw wrong(server, 'a Unix socket is unix:///absolute/path');
  }
  return { kind: 'unix', path, options: {}, url: `unix://${path}` };
}

/** HOST[:PORT][/PATH][?OPTIONS] */
function remote(server, kind, rest) {
  const [before, query] = halves(rest, '?');
  if (before.includes('@')) {
    // Not with the address: it is not to be shown.
    throw new TypeError('server: the secret belongs in GLOCK_SECRET, not in the address');
  }
  if (rest.includes('#')) {
    throw wrong(server, 'a # means nothing in an address');
  }
  const [place, path = ''] = halves(before, '/');
  const { host, port = PORTS[kind] } = hostAndPort(server, place);
  const isSocket = kind === 'ws' || kind === 'wss';
  if (!isSocket && path !== '') {
    throw wrong(server, 'no path belongs behind the host');
  }
  if (!/^[!-~]*$/.test(path)) {
    throw wrong(server, 'the path has to be plain ASCII without blanks');
  }
  if (query !== undefined && kind !== 'tls' && kind !== 'wss') {
    throw wrong(server, 'only tls:// and wss:// take options');
  }
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const address = { kind, host, port, options: options(server, query ?? '') };
  return isSocket
    ? { ...address, path: `/${path}`, url: `${kind}://${where}/${path}` }
    : { ...address, url: `${kind}://${where}` };
}

function hostAndPort(server, place) {
  if (place.startsWith('[')) {
    const [, ip, zone = '', port] = /^\[([^%\]]*)(%[^\]]*)?\](?::(.*))?$/s.exec(place) ?? [];
    if (ip === undefined || !isIPv6(ip) || (zone !== '' && !HOST.test(zone.slice(1)))) {
      throw wrong(server, 'the host is no name or address');
    }
    return { host: ip.toLowerCase() + zone, port: parsePort(server, port) }; // names of interfaces have cases
  }
  const [host, port] = halves(place, ':');
  if (port?.includes(':') && !/[[\]]/.test(place)) {
    throw wrong(server, 'an IPv6 address stands in brackets, as in [::1]:9999');
  }
  if (host === '' && !place.includes(']')) {
    throw wrong(server, 'the host is missing');
  }
  if (!HOST.test(host)) {
    throw wrong(server, 'the host is no name or address');
  }
  return { host: host.toLowerCase(), port: parsePort(server, port) };
}

function parsePort(server, digits) {
  if (digits === undefined) {
    return undefined;
  }
  if (!/^[1-9]\d{0,4}$/.test(digits) || Number(digits) > 65535) {
    throw wrong(server, 'the port is no number from 1 to 65535');
  }
  return Number(digits);
}

function isIPv6(text) {
  try {
    return /^[0-9a-f:.]+$/i.test(text) && new URL(`http://[${text}]`) !== undefined;
  } catch {
    return false;
  }
}

/** What stands behind the ? of an address, written as in a web form. */
function options(server, query) {
  const found = {};
  for (const [name, value] of new URLSearchParams(query)) {
    if (!OPTIONS.includes(name)) {
      throw wrong(server, `unknown option: ${name}`);
    }
    if (value === '') {
      throw wrong(server, `the option ${name} has no value`);
    }
    if (Object.hasOwn(found, name)) {
      throw wrong(server, `the option ${name} is there twice`);
    }
    found[name] = value;
  }
  if (found.key !== undefined && found.cert === undefined) {
    throw wrong(server, 'the option key needs cert');
  }
  return found;
}

/** What stands before a separator, and behind it: undefined if there is none. */
function halves(text, separator) {
  const place = text.indexOf(separator);
  return place < 0 ? [text] : [text.slice(0, place), text.slice(place + separator.length)];
}

function wrong(server, why) {
  return new TypeError(`server ${JSON.stringify(server)}: ${why}`);
}
