/** An item of a work list that is held. */

import { lost } from './errors.js';
import { end } from './lock.js';

export class Item {
  #session;
  #lost = new AbortController();
  #ended;

  constructor(session, pool, name, attempt) {
    this.#session = session;
    this.pool = pool;
    this.name = name;
    this.attempt = attempt;
  }

  get lost() {
    return this.#lost.signal.aborted;
  }

  get signal() {
    return this.#lost.signal;
  }

  /** Whether it is held as far as is known. */
  get held() {
    return this.#ended === undefined;
  }

  async done() {
    await this.#finish('done');
  }

  async fail() {
    await this.#finish('fail');
  }

  async give() {
    await this.#finish('give');
  }

  async keep(length) {
    this.#check();
    await this.#session.keep(this.pool, this.name, length);
  }

  async #finish(verb) {
    this.#check();
    try {
      await this.#session[verb](this.pool, this.name);
    } catch (cause) {
      // Not held any more: it was lost while the word was on its way.
      throw ['closed', 'not held'].includes(cause.code) ? lost(cause) : cause;
    }
  }

  [end](why) {
    this.#ended = why;
    if (why.code === 'lost') {
      this.#lost.abort(why);
    }
  }

  #check() {
    if (this.#ended !== undefined) {
      throw this.#ended;
    }
  }
}
