/** A hold of a lock. */

import { GlockError, lost } from './errors.js';

/** What the session tells a lock. */
export const grantedTo = Symbol('grantedTo');
export const end = Symbol('end');

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
