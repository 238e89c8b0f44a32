/** One connection, and the locks and items that it holds. */

import { configuredSecret, configuredServer } from './address.js';
import { GlockError, check, lost, refusal } from './errors.js';
import { Item } from './item.js';
import { Lock, end, grantedTo } from './lock.js';
import { abortable, open } from './transport.js';
import { Watch } from './watch.js';
import {
  checkInteger,
  checkSeconds,
  checkSendable,
  checkSignal,
  checkText,
  itemName,
  json,
  lines,
  nonce,
  normalise,
  number,
  pair,
  poolName,
  seconds,
  secretWords,
  startWords,
  windowName,
} from './words.js';

/** Seconds that the daemon has for each reply that need not be waited for, unless told otherwise. */
const TIMEOUT = 10;

export const locksOf = Symbol('locksOf');

/** Under what an item stands among what is held. */
function itemKey(pool, item) {
  return `item ${pool} ${item}`;
}

export class Session {
  #transport;
  #turn = Promise.resolve(); // settled when no command is on its way
  #pending = []; // commands sent and not yet answered, oldest first
  #holds = new Map(); // locks by the command that releases them, and items
  #notified = false; // the daemon was told to push a line when it takes a lock back
  #nonce = nonce(); // no line but our own sentinel ends with it
  #timeout; // seconds that the daemon has for a reply that need not be waited for
  #ended; // why the session ended
  #watch; // looks whether the daemon shows that it is alive
  #onEnd;

  /** Resolves with the reason when the session has ended. */
  closed = new Promise((resolve) => {
    this.#onEnd = resolve;
  });

  static async connect(server = configuredServer(), options = {}) {
    const { secret = configuredSecret(), signal, timeout = TIMEOUT, alive, WebSocket } = options;
    checkText('server', server);
    checkSeconds('timeout', timeout);
    checkSignal(signal);
    const words = secretWords(secret);
    const watch = alive === undefined ? undefined : new Watch(alive);
    const session = new Session();
    session.#timeout = timeout;
    session.#transport = await open(server, {
      signal,
      WebSocket,
      onReply: (text) => session.#hear(text),
      onClose: (why) => session.#end(new GlockError('closed', why)),
    });
    try {
      await abortable(session.#greet(words, watch), signal);
    } catch (error) {
      session.close();
      throw error;
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

  async alive(interval) {
    await this.#watched(new Watch(interval));
  }

  close() {
    this.#end(new GlockError('closed', 'the session was closed'));
  }

  /** Let a Node process end although this connection is open, or not. */
  idle(idle) {
    this.#transport.idle(idle);
  }

  async lock(name, { wait = Infinity, signal } = {}) {
    return this.#acquire('exclusive', `wait ${seconds('wait', wait)} `, name, wait, signal);
  }

  async tryLock(name, { signal } = {}) {
    return this.#acquire('exclusive', 'g ', name, 0, signal);
  }

  async read(name, { wait = Infinity, signal } = {}) {
    return this.#acquire('shared', `read ${seconds('wait', wait)} `, name, wait, signal);
  }

  async counted(name, { limit, wait = Infinity, signal } = {}) {
    checkSeconds('wait', wait);
    if (limit === undefined) {
      return this.#acquire('counted', 'sg ', name, 0, signal);
    }
    checkInteger('limit', limit);
    return this.#acquire('counted', `share ${seconds('wait', wait)} ${limit} `, name, wait, signal);
  }

  async release(name) {
    await this.#giveBack('r ', name);
  }

  async releaseCounted(name) {
    await this.#giveBack('sr ', name);
  }

  async put(pool, item) {
    return number(await this.#ask(`put ${poolName(pool)} ${itemName(item)}`)) === 1;
  }

  async take(pool, { wait = Infinity, signal } = {}) {
    const name = poolName(pool);
    const words = `take ${seconds('wait', wait)} ${name}`;
    checkSignal(signal);
    const give = await this.#take(signal);
    try {
      let item;
      const granted = (line) => {
        const [, attempt, what] = /^([1-9]\d*) Item Take Success: (.*)$/s.exec(line) ?? [];
        if (attempt !== undefined) {
          item = new Item(this, name, what, Number(attempt));
          this.#holds.set(itemKey(name, what), item);
        }
      };
      // Which item it is shows only when the answer comes: then it is given back.
      const late = (line) => {
        const [, what] = /^[1-9]\d* Item Take Success: (.*)$/s.exec(line) ?? [];
        return what === undefined ? undefined : `give ${name} ${what}`;
      };
      const undo = wait > 0 ? ['cancel'] : [];
      const [reply = ''] = await this.#exchange(words, { granted, late, undo, signal, wait });
      if (this.#ended !== undefined) {
        throw this.#ended; // while the item was on its way to here
      }
      if (item === undefined) {
        const code = refusal(reply) ?? 'refused';
        throw new GlockError(code === 'busy' && wait > 0 ? 'timeout' : code, reply);
      }
      return item;
    } finally {
      give();
    }
  }

  async done(pool, item) {
    await this.#finish('done', pool, item);
  }

  async fail(pool, item) {
    await this.#finish('fail', pool, item);
  }

  async give(pool, item) {
    await this.#finish('give', pool, item);
  }

  async keep(pool, item, length) {
    const command = `keep ${seconds('seconds', length)} ${poolName(pool)} ${itemName(item)}`;
    await this.#notify();
    await this.#ask(command);
  }

  async pool(pool) {
    return json(await this.#ask(`pool ${poolName(pool)}`));
  }

  async pools() {
    return json(await this.#ask('pool'));
  }

  async book(name, length, { start = 0, slip = 0, shared = false } = {}) {
    const words = [shared ? 'sbook' : 'book', startWords(start), seconds('length', length), seconds('slip', slip)];
    const window = windowName(name);
    const reply = await this.#ask([...words, window].join(' '));
    const [, id, begin, end] = /^([1-9]\d*) (?:Shared )?Booked (\S+Z) (\S+Z): /.exec(reply) ?? [];
    if (id === undefined) {
      throw new GlockError('refused', reply);
    }
    return { number: Number(id), name: window, begin: new Date(begin), end: new Date(end), shared };
  }

  async unbook(booking) {
    const id = booking?.number ?? booking;
    checkInteger('booking', id);
    await this.#ask(`unbook ${id}`);
  }

  async bookings(name) {
    return json(await this.#ask(name === undefined ? 'bookings' : `bookings ${windowName(name)}`));
  }

  async isLocked(name) {
    return number(await this.#asked('i', name)) > 0;
  }

  async count(name) {
    return number(await this.#asked('si', name));
  }

  async token(name) {
    return number(await this.#asked('token', name));
  }

  async check(name, token) {
    checkInteger('token', token);
    return number(await this.#asked(`check ${token}`, name)) === 1;
  }

  async lease(name, length) {
    checkText('name', name);
    const command = `lease ${seconds('seconds', length)} ${name}`;
    await this.#notify();
    await this.#ask(command);
  }

  async holders(name) {
    return this.#holders('d ', name);
  }

  async countedHolders(name) {
    return this.#holders('sd ', name);
  }

  async iam(name = '') {
    await this.#asked('iam', name);
  }

  async me() {
    const [, address, ...name] = (await this.#ask('me')).split(' ');
    return { address, name: name.join(' ') };
  }

  async who(name = '') {
    checkText('name', name);
    return new Map((await this.#lines(`who ${name}`)).map(pair));
  }

  async stats() {
    // They are sorted, and this is the last one in every version of the daemon.
    const lines = await this.#perform('q', { last: (line) => line.startsWith('shared_orphans: ') });
    return Object.fromEntries(lines.map(pair).map(([key, value]) => [key, Number(value)]));
  }

  async explain(name) {
    return json(await this.#asked('explain', name));
  }

  async history(name = '') {
    return json(await this.#asked('history', name));
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
    checkText('line', line);
    checkInteger('lines', lines);
    if (lines < 0) {
      throw new RangeError(`lines: ${lines}, want 0 or more`);
    }
    return this.#perform(line, { count: lines });
  }

  async find(what, { from = 0, count = 1000, text = '' } = {}) {
    checkInteger('from', from);
    checkInteger('count', count);
    checkText('what', what);
    checkText('text', text);
    if (!/^\S+$/.test(what)) {
      throw new TypeError(`what: ${what}, want one word`); // another would be taken for a number
    }
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
    checkText('name', name);
    checkSignal(signal);
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
      if (this.#ended !== undefined) {
        throw this.#ended; // while the grant was on its way to here
      }
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
    checkText('name', name);
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

  async #finish(verb, pool, item) {
    const [list, name] = [poolName(pool), itemName(item)];
    const key = itemKey(list, name);
    const command = `${verb} ${list} ${name}`;
    checkSendable(command);
    const give = await this.#take();
    try {
      const [reply = ''] = await this.#exchange(command, {});
      const code = refusal(reply);
      if (code === undefined || code === 'not held') {
        const why = code === undefined ? `the item was said to be ${verb}` : 'the daemon no longer knew of it';
        this.#holds.get(key)?.[end](new GlockError(code === undefined ? 'not held' : 'lost', why));
        this.#holds.delete(key);
      }
      check(reply);
    } finally {
      give();
    }
  }

  async #holders(word, name) {
    checkText('name', name);
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

  /** All that is to be said on a new connection. */
  async #greet(secret, watch) {
    if (secret !== '') {
      await this.#ask(`auth ${secret}`);
    }
    if (watch !== undefined) {
      await this.#watched(watch);
    }
  }

  async #watched(watch) {
    await this.#ask(`alive ${watch.seconds}`);
    this.#watch?.stop();
    this.#watch = watch;
    if (this.#ended === undefined) {
      watch.start(() => this.#end(new GlockError('closed', `no sign of life for 2.5 times ${watch.seconds} s`)));
    }
  }

  /** Have the daemon say when it takes something back. */
  async #notify() {
    if (!this.#notified) {
      await this.#ask('notify on');
      this.#notified = true;
    }
  }

  /** A question about a name. */
  async #asked(words, name) {
    checkText('name', name);
    return this.#ask(`${words} ${name}`);
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
   * @param {(line: string) => string | undefined} [request.late] what to send when the reply comes after signal has
   *     aborted
   * @param {string} [request.trailer] a command whose reply belongs to this one
   * @param {string[]} [request.undo] what to send when signal aborts before the reply is there
   * @param {AbortSignal} [request.signal]
   * @param {number} [request.wait] for how many seconds the daemon may put the reply off
   */
  #exchange(command, { count = 1, last, listing = false, granted, late, trailer, undo, signal, wait = 0 }) {
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
        const send = (command) => {
          this.#pending.push({ lines: [], count: 1, resolve() {}, reject() {} });
          this.#transport.send(command);
        };
        request.granted = (line) => {
          const command = late?.(line);
          if (command !== undefined) {
            send(command);
          }
        };
        undo?.forEach(send);
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
    this.#watch?.heard();
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
   * Whether the text is "! alive", "! lost NAME REASON" or "! item POOL ITEM REASON" rather than a reply, and then acts on
   * it. No reply begins like that, but a line of a listing may; there it is a push if it is the first, or names what is held
   * here.
   */
  #pushed(text, listing) {
    if (!text.startsWith('! ')) {
      return false;
    }
    if (lines(text)[0] === '! alive') {
      return true; // no line of a listing: those have a colon
    }
    const [, what, name, reason] = /^! (lost|item) (.*) ([^ ]+)$/s.exec(lines(text)[0]) ?? [];
    const key = what === 'item' ? `item ${name}` : `r ${name}`;
    const held = this.#holds.get(key);
    if (held !== undefined) {
      this.#holds.delete(key);
      held[end](new GlockError('lost', `the daemon took it back: ${reason}`));
    }
    return held !== undefined || !listing;
  }

  #end(why) {
    if (this.#ended !== undefined) {
      return;
    }
    this.#ended = why;
    this.#watch?.stop();
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
