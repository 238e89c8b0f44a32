/** Locks in the shape of navigator.locks. */

import { GlockError } from './errors.js';
import { Session, locksOf } from './session.js';
import { checkSignal, checkText } from './words.js';

/** How many connections without a lock a LockManager keeps for later. */
const MAX_IDLE = 8;

export class LockManager {
  #server;
  #options;
  #idle = [];
  #lent = new Set(); // sessions in use
  #connecting = new Set(); // what gives up connecting
  #closed = false;

  constructor(server, options = {}) {
    if (server !== undefined) {
      checkText('server', server);
    }
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
    checkText('name', name);
    checkSignal(signal);
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
    if (session.error !== undefined) {
      this.#back(session);
      throw session.error; // it ended, or was closed, while the lock was on its way to here
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

  async put(pool, item) {
    return this.#ask((session) => session.put(pool, item));
  }

  async take(pool, options, callback = options) {
    const { ifAvailable = false, signal } = options === callback ? {} : (options ?? {});
    if (typeof callback !== 'function') {
      throw new TypeError('want a function to call with the item');
    }
    checkSignal(signal);
    signal?.throwIfAborted();
    const { session, lock: item } = await this.#acquire(signal, async (session) => {
      try {
        return await session.take(pool, { wait: ifAvailable ? 0 : Infinity, signal });
      } catch (error) {
        if (ifAvailable && error.code === 'busy') {
          return null;
        }
        throw error;
      }
    });
    try {
      if (item === null) {
        return await callback(null);
      }
      let result;
      try {
        result = await callback(item);
      } catch (error) {
        if (item.held) {
          await item.give().catch(() => {}); // what the callback throws tells more
        }
        throw error;
      }
      if (item.held || item.lost) {
        await item.done();
      }
      return result;
    } finally {
      this.#back(session);
    }
  }

  async pools() {
    return this.#ask((session) => session.pools());
  }

  async book(name, length, options) {
    return this.#ask((session) => session.book(name, length, options));
  }

  async unbook(booking) {
    return this.#ask((session) => session.unbook(booking));
  }

  async bookings(name) {
    return this.#ask((session) => session.bookings(name));
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
    this.#closed = true;
    for (const controller of this.#connecting) {
      controller.abort(closed());
    }
    for (const session of [...this.#idle.splice(0), ...this.#lent]) {
      session.close();
    }
    this.#lent.clear();
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

  async #ask(ask) {
    const session = await this.#borrow();
    try {
      return await ask(session);
    } finally {
      this.#back(session);
    }
  }

  async #borrow() {
    return this.#takeIdle() ?? this.#connect();
  }

  #takeIdle() {
    if (this.#closed) {
      throw closed();
    }
    this.#idle = this.#idle.filter((session) => session.error === undefined);
    const index = this.#idle.findLastIndex((session) => !session.answering);
    if (index < 0) {
      return undefined;
    }
    const [session] = this.#idle.splice(index, 1);
    session.idle(false);
    this.#lent.add(session);
    return session;
  }

  async #connect(signal) {
    const controller = new AbortController();
    const giveUp = () => controller.abort(signal.reason);
    signal?.addEventListener('abort', giveUp, { once: true });
    this.#connecting.add(controller);
    try {
      const session = await Session.connect(this.#server, { ...this.#options, signal: controller.signal });
      if (controller.signal.aborted) {
        session.close(); // it came just then
        throw controller.signal.reason;
      }
      this.#lent.add(session);
      return session;
    } finally {
      this.#connecting.delete(controller);
      signal?.removeEventListener('abort', giveUp);
    }
  }

  #back(session) {
    this.#lent.delete(session);
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

function closed() {
  return new GlockError('closed', 'the manager was closed');
}

/** What query() tells of a holder or waiter, from what the daemon explains. */
function info(lock, { address, name, mode, seconds, token }) {
  const modes = { write: 'exclusive', read: 'shared', shared: 'counted' };
  const told = { name: lock, mode: modes[mode], clientId: name ?? address, address, seconds };
  return token === undefined ? told : { ...told, token };
}
