/**
 * Client of glockd, the lock daemon, for browsers (ws://, wss://) and for Node (tcp://, unix://; ws:// where there is a
 * WebSocket). Types and documentation of what is exported are in glock.d.ts.
 */

const DEFAULT_SERVER = 'tcp://127.0.0.1:9999';
/** The longest command that the daemon takes whole on a stream, in bytes without the line feed. */
const MAX_LINE = 4095;
/** Seconds that the daemon has for each reply that need not be waited for, unless told otherwise. */
const TIMEOUT = 10;
/** How many connections without a lock a LockManager keeps for later. */
const MAX_IDLE = 8;
/** Silence on a TCP connection, in milliseconds, after which the system asks whether the daemon is still there. */
const KEEP_ALIVE = 10_000;

/** Unicode's white space, which the daemon takes for a space in names; \s is another set. */
const WHITE_SPACE = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

/** What negative replies mean. */
const REFUSALS = [
  ['0 Lock Get Failure: ', 'busy'],
  ['0 Shared Lock Get Failure: ', 'busy'],
  ['0 Lock Get Deadlock: ', 'deadlock'],
  ['0 Shared Lock Get Deadlock: ', 'deadlock'],
  ['0 Lock Release Failure: ', 'not held'],
  ['0 Shared Lock Release Failure: ', 'not held'],
  ['0 Lock Lease Failure: ', 'not held'],
  ['0 Lock Token: ', 'not held'],
  ['0 Not Authorised', 'not authorised'],
];

/** What is a plain answer to a question: a number from 1 on, or one of these. Nothing else must be taken for a no. */
const ANSWER = /^([1-9]\d*( |$)|0 Lock Not Locked: |0 Shared Lock Not Locked: |0 Lock Token Stale: |0 [[{])/;

export class GlockError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = 'GlockError';
    this.code = code;
  }
}

const locksOf = Symbol('locksOf');

export class Session {
  #transport;
  #turn = Promise.resolve(); // settled when no command is on its way
  #pending = []; // commands sent and not yet answered, oldest first
  #holds = new Map(); // what is held, by the command that releases it
  #notified = false; // the daemon was told to push a line when it takes a lock back
  #nonce = nonce(); // no line but our own sentinel ends with it
  #timeout; // seconds that the daemon has for a reply that need not be waited for
  #ended; // why the session ended
  #onEnd;

  /** Resolves with the reason when the session has ended. */
  closed = new Promise((resolve) => {
    this.#onEnd = resolve;
  });

  static async connect(server, { secret, signal, timeout = TIMEOUT, WebSocket } = {}) {
    const session = new Session();
    session.#timeout = timeout;
    session.#transport = await open(server || defaultServer(), {
      signal,
      WebSocket,
      onReply: (text) => session.#hear(text),
      onClose: (why) => session.#end(new GlockError('closed', why)),
    });
    if (secret !== undefined) {
      try {
        await session.#ask(`auth ${secret}`);
      } catch (error) {
        session.close();
        throw error;
      }
    }
    return session;
  }

  /** Whether a process may keep this connection while it has nothing to do, and still end. */
  get lasting() {
    return this.#transport.lasting;
  }

  get error() {
    return this.#ended;
  }

  get holding() {
    return this.#holds.size > 0;
  }

  /** Whether replies that nobody waits for any more are still to come. */
  get answering() {
    return this.#pending.length > 0;
  }

  close() {
    this.#end(new GlockError('closed', 'the session was closed'));
  }

  /** Let a Node process end although this connection is open, or not. */
  idle(idle) {
    this.#transport.idle(idle);
  }

  async lock(name, { wait = Infinity, signal } = {}) {
    return this.#acquire('exclusive', `wait ${seconds(wait)} `, name, wait, signal);
  }

  async tryLock(name, { signal } = {}) {
    return this.#acquire('exclusive', 'g ', name, 0, signal);
  }

  async read(name, { wait = Infinity, signal } = {}) {
    return this.#acquire('shared', `read ${seconds(wait)} `, name, wait, signal);
  }

  async counted(name, { limit, wait = Infinity, signal } = {}) {
    if (limit === undefined) {
      return this.#acquire('counted', 'sg ', name, 0, signal);
    }
    checkInteger('limit', limit);
    return this.#acquire('counted', `share ${seconds(wait)} ${limit} `, name, wait, signal);
  }

  async release(name) {
    await this.#giveBack('r ', name);
  }

  async releaseCounted(name) {
    await this.#giveBack('sr ', name);
  }

  async isLocked(name) {
    return number(await this.#ask(`i ${name}`)) > 0;
  }

  async count(name) {
    return number(await this.#ask(`si ${name}`));
  }

  async token(name) {
    return number(await this.#ask(`token ${name}`));
  }

  async check(name, token) {
    checkInteger('token', token);
    return number(await this.#ask(`check ${token} ${name}`)) === 1;
  }

  async lease(name, length) {
    const command = `lease ${seconds(length)} ${name}`;
    if (!this.#notified) {
      await this.#ask('notify on');
      this.#notified = true;
    }
    await this.#ask(command);
  }

  async holders(name) {
    return this.#holders('d ', name);
  }

  async countedHolders(name) {
    return this.#holders('sd ', name);
  }

  async iam(name = '') {
    await this.#ask(`iam ${name}`);
  }

  async me() {
    const [, address, ...name] = (await this.#ask('me')).split(' ');
    return { address, name: name.join(' ') };
  }

  async who(name = '') {
    return new Map((await this.#lines(`who ${name}`)).map(pair));
  }

  async stats() {
    // They are sorted, and this is the last one in every version of the daemon.
    const lines = await this.#perform('q', { last: (line) => line.startsWith('shared_orphans: ') });
    return Object.fromEntries(lines.map(pair).map(([key, value]) => [key, Number(value)]));
  }

  async explain(name) {
    return json(await this.#ask(`explain ${name}`));
  }

  async history(name = '') {
    return json(await this.#ask(`history ${name}`));
  }

  async ping() {
    await this.#ask('ping');
  }

  async version() {
    return (await this.#ask('version')).slice('1 '.length);
  }

  async bound() {
    return number(await this.#ask('bound'));
  }

  async raw(line, lines = 1) {
    return this.#perform(line, { count: lines });
  }

  async find(what, { from = 0, count = 1000, text = '' } = {}) {
    checkInteger('from', from);
    checkInteger('count', count);
    return json(await this.#ask(`find ${what} ${from} ${count} ${text}`));
  }

  async names() {
    const names = new Set();
    for (const table of ['exclusive', 'shared']) {
      for (const { name } of await this[locksOf](table)) {
        names.add(name);
      }
    }
    return [...names];
  }

  /** All locks of a table, page by page. */
  async [locksOf](table) {
    const locks = new Map(); // places move meanwhile, so that one may come twice
    for (let from = 0; from !== null; ) {
      const page = await this.find(table, { from });
      for (const lock of page.entries) {
        locks.set(lock.name, lock);
      }
      from = page.next;
    }
    return locks.values();
  }

  async #acquire(mode, words, name, wait, signal) {
    checkSendable(words + name);
    const release = (mode === 'counted' ? 'sr ' : 'r ') + normalise(name);
    const give = await this.#take(signal);
    try {
      // The daemon acts on cancel at once and on the rest in order, so that these leave the hold as it was before the
      // request, whether it was granted meanwhile or not. It must hear no cancel from who did not wait: the original
      // knows no such word.
      const undo = wait > 0 ? ['cancel'] : [];
      if (!this.#holds.has(release)) {
        undo.push(release);
      }
      let lock;
      const granted = (line) => {
        lock = this.#grant(mode, release, line);
      };
      const [reply = ''] = await this.#exchange(words + normalise(name), { granted, undo, signal, wait });
      if (lock === undefined) {
        const code = refusal(reply) ?? 'refused';
        throw new GlockError(code === 'busy' && wait > 0 ? 'timeout' : code, reply);
      }
      return lock;
    } finally {
      give();
    }
  }

  #grant(mode, release, reply) {
    const holders = number(reply);
    if (!(holders > 0)) {
      return undefined;
    }
    let lock = this.#holds.get(release);
    if (lock === undefined) {
      lock = new Lock(this, mode, release.slice(release.indexOf(' ') + 1));
      this.#holds.set(release, lock);
    }
    lock[grantedTo](holders);
    return lock;
  }

  async #giveBack(word, name) {
    checkSendable(word + name);
    const release = word + normalise(name);
    const give = await this.#take();
    try {
      // Whatever comes of it, the session no longer counts on the lock.
      this.#holds.get(release)?.[end](new GlockError('not held', 'the lock was released'));
      this.#holds.delete(release);
      const [reply = ''] = await this.#exchange(release, {});
      check(reply);
    } finally {
      give();
    }
  }

  async #holders(word, name) {
    const prefix = `${normalise(name)}: `;
    if (prefix === ': ') {
      throw new GlockError('bad name', 'the lock of no name cannot be listed');
    }
    return (await this.#lines(word + name)).map((line) => line.slice(prefix.length));
  }

  /**
   * The reply to a command whose reply has any number of lines and no end. On a stream, a question about a lock that
   * nobody can know of is sent behind it; the answer marks the end. A message has an end.
   */
  async #lines(command) {
    let lines;
    if (this.#transport.messages) {
      lines = await this.#perform(command, { listing: true });
    } else {
      const last = (line) => line === `0 Lock Not Locked: ${this.#nonce}`;
      lines = await this.#perform(command, { listing: true, last, trailer: `i ${this.#nonce}` });
      lines.pop();
    }
    if (lines.length === 1 && lines[0] === '0 disabled') {
      check(lines[0]); // no line of a listing: those have a colon
    }
    return lines;
  }

  async #ask(command) {
    const [reply = ''] = await this.#perform(command, {}); // a message may be empty
    check(reply);
    return reply;
  }

  async #perform(command, request) {
    checkSendable(command);
    const give = await this.#take();
    try {
      return await this.#exchange(command, request);
    } finally {
      give();
    }
  }

  /** Wait until no other command is on its way; call what it gives when this one no longer is. */
  async #take(signal) {
    signal?.throwIfAborted();
    const before = this.#turn;
    let give;
    const mine = new Promise((resolve) => {
      give = resolve;
    });
    this.#turn = before.then(() => mine);
    try {
      await abortable(before, signal);
    } catch (reason) {
      give();
      throw reason;
    }
    return give;
  }

  /**
   * Send a command and give the lines of its reply.
   *
   * @param {string} command
   * @param {object} request
   * @param {number} [request.count] how many lines the reply has
   * @param {(line: string) => boolean} [request.last] tells the last line, where their number is not known
   * @param {boolean} [request.listing] the lines may look like anything
   * @param {(line: string) => void} [request.granted] is shown the reply as it comes, so that a loss right behind it finds
   *     a lock
   * @param {string} [request.trailer] a command whose reply belongs to this one
   * @param {string[]} [request.undo] what to send when signal aborts before the reply is there
   * @param {AbortSignal} [request.signal]
   * @param {number} [request.wait] for how many seconds the daemon may put the reply off
   */
  #exchange(command, { count = 1, last, listing = false, granted, trailer, undo, signal, wait = 0 }) {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      signal?.throwIfAborted();
      const request = { lines: [], count, last, listing, granted };
      const patience = 1000 * (wait + this.#timeout);
      const timer =
        patience < 2 ** 31 // more is more than setTimeout knows
          ? setTimeout(() => this.#end(new GlockError('closed', `no reply within ${this.#timeout} s`)), patience)
          : undefined;
      const abort = () => {
        clearTimeout(timer);
        // The replies still to come are read by the way and dropped.
        request.granted = undefined;
        for (const command of undo ?? []) {
          this.#pending.push({ lines: [], count: 1, resolve() {}, reject() {} });
          this.#transport.send(command);
        }
        reject(signal.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      request.resolve = (lines) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        resolve(lines);
      };
      request.reject = (error) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        reject(error);
      };
      if (count > 0 || this.#transport.messages) {
        this.#pending.push(request);
      }
      this.#transport.send(command);
      if (trailer !== undefined) {
        this.#transport.send(trailer);
      }
      if (count === 0) {
        request.resolve([]);
      }
    });
  }

  /** Take a line from a stream, or a message. */
  #hear(text) {
    const request = this.#pending[0];
    if (this.#pushed(text, request?.listing ?? false) || request === undefined) {
      return;
    }
    if (this.#transport.messages) {
      request.lines = lines(text);
    } else {
      request.lines.push(text);
      if (request.last === undefined ? request.lines.length < request.count : !request.last(text)) {
        return;
      }
    }
    this.#pending.shift();
    request.granted?.(request.lines[0]);
    request.resolve(request.lines);
  }

  /**
   * Whether the text is "! lost NAME REASON" rather than a reply, and then acts on it. No reply begins like that, but a
   * line of a listing may; there it is a push if it names a lock held here.
   */
  #pushed(text, listing) {
    if (!text.startsWith('! ')) {
      return false;
    }
    const [, name, reason] = /^! lost (.*) ([^ ]+)$/s.exec(lines(text)[0]) ?? [];
    const lock = this.#holds.get(`r ${name}`);
    if (lock !== undefined) {
      this.#holds.delete(`r ${name}`);
      lock[end](new GlockError('lost', `the daemon took the lock back: ${reason}`));
    }
    return lock !== undefined || !listing;
  }

  #end(why) {
    if (this.#ended !== undefined) {
      return;
    }
    this.#ended = why;
    this.#transport?.close();
    for (const request of this.#pending.splice(0)) {
      request.reject(why);
    }
    for (const lock of this.#holds.values()) {
      lock[end](lost(why));
    }
    this.#holds.clear();
    this.#onEnd(why);
  }
}

const grantedTo = Symbol('grantedTo');
const end = Symbol('end');

export class Lock {
  #session;
  #lost = new AbortController();
  #ended;
  #token;
  #holders = 1;

  constructor(session, mode, name) {
    this.#session = session;
    this.mode = mode;
    this.name = name;
  }

  get holders() {
    return this.#holders;
  }

  get lost() {
    return this.#lost.signal.aborted;
  }

  get signal() {
    return this.#lost.signal;
  }

  async token() {
    this.#check();
    this.#notCounted('token');
    this.#token ??= this.#session.token(this.name);
    return this.#token;
  }

  async lease(length) {
    this.#check();
    this.#notCounted('lease');
    await this.#session.lease(this.name, length);
  }

  async release() {
    this.#check();
    try {
      await (this.mode === 'counted' ? this.#session.releaseCounted(this.name) : this.#session.release(this.name));
    } catch (cause) {
      // Not held any more: it was lost while the release was on its way.
      throw ['closed', 'not held'].includes(cause.code) ? lost(cause) : cause;
    }
  }

  [grantedTo](holders) {
    this.#holders = holders;
  }

  [end](why) {
    this.#ended = why;
    if (why.code === 'lost') {
      this.#lost.abort(why);
    }
  }

  /** The daemon would take it for the exclusive lock of that name. */
  #notCounted(what) {
    if (this.mode === 'counted') {
      throw new GlockError('refused', `a counted lock has no ${what}`);
    }
  }

  #check() {
    if (this.#ended !== undefined) {
      throw this.#ended;
    }
  }
}

export class LockManager {
  #server;
  #options;
  #idle = [];

  constructor(server, options = {}) {
    this.#server = server;
    this.#options = options;
  }

  async request(name, options, callback = options) {
    const {
      mode = 'exclusive',
      ifAvailable = false,
      limit,
      signal,
      steal = false,
    } = options === callback ? {} : (options ?? {});
    if (steal) {
      throw new DOMException('a lock cannot be stolen from its holder', 'NotSupportedError');
    }
    if (ifAvailable && signal !== undefined) {
      throw new DOMException('signal and ifAvailable cannot go together', 'NotSupportedError');
    }
    if (!['exclusive', 'shared', 'counted'].includes(mode)) {
      throw new TypeError(`mode ${mode}: want exclusive, shared or counted`);
    }
    if (typeof callback !== 'function') {
      throw new TypeError('want a function to call with the lock');
    }
    signal?.throwIfAborted();
    const wait = ifAvailable ? 0 : Infinity;
    const { session, lock } = await this.#acquire(signal, async (session) => {
      try {
        if (mode === 'shared') {
          return await session.read(name, { wait, signal });
        }
        if (mode === 'counted') {
          return await session.counted(name, { limit, wait, signal });
        }
        return await (ifAvailable ? session.tryLock(name) : session.lock(name, { wait, signal }));
      } catch (error) {
        if (ifAvailable && error.code === 'busy') {
          return null;
        }
        throw error;
      }
    });
    if (lock === null) {
      this.#back(session);
      return callback(null);
    }
    let result;
    try {
      result = await callback(lock);
    } catch (error) {
      await lock.release().catch(() => {}); // what the callback throws tells more
      this.#back(session);
      throw error;
    }
    try {
      await lock.release();
    } finally {
      this.#back(session);
    }
    return result;
  }

  async query() {
    const session = await this.#borrow();
    try {
      const held = [];
      const pending = [];
      for (const table of ['exclusive', 'shared']) {
        for (const { name, holder, holders, waiters } of await session[locksOf](table)) {
          let told = { holders: [holder], waiters: [] };
          if (holders > 1 || waiters > 0) {
            try {
              told = (await session.explain(name))[table];
            } catch (error) {
              if (error.code !== 'bad name') {
                throw error;
              }
              // Too long a name to ask about it: its oldest holder has to do.
            }
          }
          held.push(...told.holders.map((holder) => info(name, holder)));
          pending.push(...told.waiters.map((waiter) => info(name, waiter)));
        }
      }
      return { held, pending };
    } finally {
      this.#back(session);
    }
  }

  close() {
    for (const session of this.#idle.splice(0)) {
      session.close();
    }
  }

  async #acquire(signal, take) {
    for (;;) {
      const used = this.#takeIdle();
      const session = used ?? (await this.#connect(signal));
      try {
        return { session, lock: await take(session) };
      } catch (error) {
        this.#back(session);
        if (used === undefined || session.error === undefined || signal?.aborted) {
          throw error;
        }
        // It died while idle; it held nothing, so another will do.
      }
    }
  }

  async #borrow() {
    return this.#takeIdle() ?? this.#connect();
  }

  #takeIdle() {
    this.#idle = this.#idle.filter((session) => session.error === undefined);
    const index = this.#idle.findLastIndex((session) => !session.answering);
    if (index < 0) {
      return undefined;
    }
    const [session] = this.#idle.splice(index, 1);
    session.idle(false);
    return session;
  }

  async #connect(signal) {
    return Session.connect(this.#server, { ...this.#options, signal });
  }

  #back(session) {
    if (session.error !== undefined) {
      return;
    }
    if (!session.lasting || session.holding || this.#idle.length >= MAX_IDLE) {
      session.close();
      return;
    }
    session.idle(true);
    this.#idle.push(session);
  }
}

export const locks = new LockManager();

/** What query() tells of a holder or waiter, from what the daemon explains. */
function info(lock, { address, name, mode, seconds, token }) {
  const modes = { write: 'exclusive', read: 'shared', shared: 'counted' };
  const told = { name: lock, mode: modes[mode], clientId: name ?? address, address, seconds };
  return token === undefined ? told : { ...told, token };
}

/** Open a connection; whatever carries it, it sends commands and hears lines (messages: all lines of a reply). */
async function open(server, handlers) {
  if (/^wss?:\/\//.test(server)) {
    return openWebSocket(server, handlers);
  }
  const unix = /^unix:\/\/(\/.+)$/.exec(server);
  if (unix !== null) {
    return openStream({ path: unix[1] }, server, handlers);
  }
  const [, scheme, ipv6, name, port, query] =
    /^(tcp|tls):\/\/(?:\[([^\]]+)\]|([^:?]+)):(\d+)(?:(?<=^tls.*)\?(.*))?$/.exec(server) ?? [];
  if (scheme === undefined) {
    throw new TypeError(`server ${server}: want tcp://host:port, tls://host:port, unix:///path or ws://host:port/`);
  }
  const where = { host: ipv6 ?? name, port: Number(port) };
  return openStream(where, server, handlers, scheme === 'tls' ? (query ?? '') : undefined);
}

/** One of Node's own modules. */
async function node(name, server) {
  try {
    return await import(/* webpackIgnore: true */ /* @vite-ignore */ `node:${name}`);
  } catch (cause) {
    throw new GlockError('closed', `${server}: a browser can only use ws:// and wss://`, { cause });
  }
}

/** TLS on a connection, as a tls:// address wants it. */
async function encrypt(plain, host, query, server) {
  const { readFile } = await node('fs/promises', server);
  const { checkServerIdentity, connect } = await node('tls', server);
  const options = {};
  for (const [option, value] of new URLSearchParams(query)) {
    if (option === 'host') {
      host = value;
    } else if (['ca', 'cert', 'key'].includes(option)) {
      options[option] = await readFile(value);
    } else {
      throw new TypeError(`server ${server}: unknown option ${option}`);
    }
  }
  return connect({
    ...options,
    key: options.key ?? options.cert, // both may be in one file
    socket: plain,
    servername: /[a-z]/i.test(host) && !host.includes(':') ? host : '', // RFC 6066, 3: no addresses
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
    minVersion: 'TLSv1.2',
  });
}

/**
 * @param {{path: string} | {host: string, port: number}} where
 * @param {string} [query] of a tls:// address; without, the connection is plain
 */
async function openStream(where, server, { signal, onReply, onClose }, query) {
  const net = await node('net', server);
  signal?.throwIfAborted();
  const plain = net.connect({ ...where, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE });
  let why = 'the daemon hung up';
  const connected = new Promise((resolve, reject) => {
    const failed = (cause) => {
      why = cause.message;
      reject(new GlockError('closed', `${server}: ${cause.message}`, { cause }));
    };
    plain.on('error', failed);
    if (query === undefined) {
      plain.once('connect', () => resolve(plain));
      return;
    }
    encrypt(plain, where.host, query, server).then((socket) => {
      socket.on('error', failed);
      socket.once('secureConnect', () => resolve(socket));
      socket.once('close', () => failed(new Error('the daemon hung up')));
    }, reject);
  });
  let socket;
  try {
    socket = await abortable(connected, signal);
  } catch (error) {
    plain.destroy();
    throw error;
  }
  let unread = '';
  socket.setEncoding('utf8');
  socket.on('data', (text) => {
    const complete = (unread + text).split('\n');
    unread = complete.pop();
    for (const line of complete) {
      onReply(line.endsWith('\r') ? line.slice(0, -1) : line);
    }
  });
  socket.on('close', () => onClose(why));
  return {
    messages: false,
    lasting: true,
    send: (command) => socket.write(`${command}\n`),
    idle: (idle) => (idle ? socket.unref() : socket.ref()),
    close: () => socket.destroy(),
  };
}

async function openWebSocket(server, { signal, WebSocket = globalThis.WebSocket, onReply, onClose }) {
  if (WebSocket === undefined) {
    throw new GlockError(
      'closed',
      `${server}: this JavaScript has no WebSocket (Node has one from version 22 on): use tcp:// or unix://, or pass one`,
    );
  }
  signal?.throwIfAborted();
  const socket = new WebSocket(server);
  socket.addEventListener('message', (event) => onReply(event.data));
  socket.addEventListener('error', () => {}); // close follows; the package ws would end the process if nobody listened
  const connected = new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('close', () => reject(new GlockError('closed', `${server}: no connection`)), {
      once: true,
    });
  });
  socket.addEventListener('close', (event) => onClose(`the websocket was closed with code ${event.code}`));
  try {
    await abortable(connected, signal);
  } catch (error) {
    socket.close();
    throw error;
  }
  return {
    messages: true,
    lasting: globalThis.process?.versions?.node === undefined, // Node's WebSocket keeps the process from ending
    send: (command) => socket.send(command),
    idle() {},
    close: () => socket.close(),
  };
}

/** The server where nobody tells one: GLOCK_SERVER or the port of the original; in a page, whoever the page is from. */
function defaultServer() {
  if (globalThis.process?.versions?.node === undefined && globalThis.location !== undefined) {
    const { protocol, host } = globalThis.location;
    return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}/`;
  }
  return globalThis.process?.env.GLOCK_SERVER || DEFAULT_SERVER;
}

/** The lock's loss that comes with the end of its session. */
function lost(cause) {
  return new GlockError('lost', `the lock was lost: ${cause.message}`, { cause });
}

/** The promise, or the signal's reason if that comes first. */
function abortable(promise, signal) {
  if (signal === undefined) {
    return promise;
  }
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** Something that nobody guesses; crypto.randomUUID is missing in pages that came without TLS. */
function nonce() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Text would be sent as it is, and might hold a space and the beginning of another name. */
function checkInteger(what, value) {
  if (!Number.isSafeInteger(value)) {
    throw new TypeError(`${what}: want an integer`);
  }
}

function checkSendable(command) {
  if (/\p{Surrogate}/u.test(command)) {
    throw new GlockError(
      'bad name',
      'a name must not hold half a surrogate pair, which UTF-8 cannot tell from another',
    );
  }
  if (command.includes('\n')) {
    throw new GlockError('bad name', 'a name must not hold a line feed');
  }
  if (new TextEncoder().encode(command).length > MAX_LINE) {
    throw new GlockError('bad name', `the command would be longer than ${MAX_LINE} bytes`);
  }
}

/** What the daemon does with a name: runs of white space become one space, none stays at the ends. */
function normalise(name) {
  return `${name}`.replace(WHITE_SPACE, ' ').replace(/^ | $/g, '');
}

function seconds(length) {
  if (!(length >= 0)) {
    throw new RangeError(`seconds: ${length}, want 0 or more, or Infinity`);
  }
  return length === Infinity ? 'inf' : length.toFixed(6);
}

function refusal(reply) {
  if (ANSWER.test(reply)) {
    return undefined;
  }
  return REFUSALS.find(([prefix]) => reply.startsWith(prefix))?.[1] ?? 'refused';
}

function check(reply) {
  const code = refusal(reply);
  if (code !== undefined) {
    throw new GlockError(code, reply);
  }
}

/** The number that a reply begins with, or 0. */
function number(reply) {
  return Number.parseInt(reply, 10) || 0;
}

function json(reply) {
  return JSON.parse(reply.slice(reply.indexOf(' ') + 1));
}

function pair(line) {
  const colon = line.indexOf(': ');
  return [line.slice(0, colon), line.slice(colon + 2)];
}

/** The lines of a message, without their ends. */
function lines(text) {
  const all = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (all.at(-1) === '') {
    all.pop();
  }
  return all;
}
