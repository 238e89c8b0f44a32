/** Plays the conversations that all clients share; in Node and in a page alike. */

import { Session } from '../glock.js';

const UNTIL = 10_000;
const PAUSE = 10;
const ERRORS = new Set(['busy', 'timeout', 'deadlock', 'not held', 'bad name']);

/**
 * @param {string} server
 * @param {{format: number, conversations: {title: string, steps: object[]}[]}} list
 * @param {(line: string) => void} print
 * @returns {Promise<number>} how many failed
 */
export async function play(server, list, print) {
  if (list.format !== 1) {
    throw new Error(`format ${list.format}, want 1`);
  }
  (await Session.connect(server)).close(); // no daemon: one error is enough
  let passed = 0;
  let failed = 0;
  for (const { title, steps } of list.conversations) {
    const conversation = new Conversation(server);
    try {
      await conversation.play(steps);
      passed += 1;
    } catch (error) {
      failed += 1;
      print(`failed: ${title}: ${error.message}`);
    } finally {
      conversation.close();
    }
  }
  print(`${passed} passed, ${failed} failed`);
  return failed;
}

class Conversation {
  #clients = new Map(); // by letter: session, locks by name, marked counters
  #started = new Map();
  #kept = new Map();

  constructor(server) {
    this.server = server;
  }

  async play(steps) {
    for (const [index, step] of steps.entries()) {
      try {
        await this.#carryOut(step);
      } catch (error) {
        throw new Error(`step ${index + 1} (${JSON.stringify(step)}): ${error.message}`, { cause: error });
      }
    }
  }

  close() {
    for (const { session } of this.#clients.values()) {
      session.close();
    }
  }

  async #carryOut(step) {
    if (step.client !== undefined && !this.#clients.has(step.client)) {
      this.#clients.set(step.client, { session: await Session.connect(this.server), locks: new Map(), marked: {} });
    }
    const deadline = performance.now() + UNTIL;
    for (;;) {
      const result = await this.#perform(step);
      for (const [variable, field] of Object.entries(step.keep ?? {})) {
        this.#kept.set(`$${variable}`, result[field]);
      }
      const wrong = this.#compare(step, result);
      if (wrong === undefined) {
        return;
      }
      if (step.until === undefined || performance.now() > deadline) {
        throw new Error(wrong);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  #compare(step, result) {
    for (const [field, value] of Object.entries({ ...step.is, ...step.until })) {
      const wanted = this.#value(value);
      if (JSON.stringify(result[field]) !== JSON.stringify(wanted)) {
        return `${field}: want ${JSON.stringify(wanted)} in ${JSON.stringify(result)}`;
      }
    }
    for (const [field, value] of Object.entries(step.over ?? {})) {
      if (!(result[field] > this.#value(value))) {
        return `${field}: want more than ${this.#value(value)} in ${JSON.stringify(result)}`;
      }
    }
    return undefined;
  }

  #value(value) {
    return Array.isArray(value) ? value.map((item) => this.#value(item)) : (this.#kept.get(value) ?? value);
  }

  async #perform(step) {
    switch (step.do) {
      case 'await':
        return this.#started.get(step.later).result;
      case 'cancel':
        this.#started.get(step.later).controller.abort();
        return {};
      case 'hang_up':
        this.#clients.get(step.client).session.close();
        this.#clients.delete(step.client);
        return {};
    }
    const controller = new AbortController();
    const result = this.#ask(this.#clients.get(step.client), step, controller.signal).catch((error) => {
      if (error === controller.signal.reason) {
        return { ok: false, error: 'cancelled' };
      }
      if (ERRORS.has(error.code)) {
        return { ok: false, error: error.code };
      }
      throw error;
    });
    if (step.later !== undefined) {
      result.catch(() => {}); // whoever awaits it hears of it
      this.#started.set(step.later, { controller, result });
      return {};
    }
    return result;
  }

  async #ask(client, step, signal) {
    const { session } = client;
    const wait = step.wait === 'inf' ? Infinity : step.wait;
    switch (step.do) {
      case 'lock':
        return this.#got(
          client,
          step,
          await (wait === undefined ? session.tryLock(step.name) : session.lock(step.name, { wait, signal })),
        );
      case 'read':
        return this.#got(client, step, await session.read(step.name, { wait, signal }));
      case 'shared':
        return this.#got(client, step, await session.counted(step.name, { limit: step.limit, wait, signal }));
      case 'release':
        await session.release(step.name);
        return { ok: true };
      case 'release_shared':
        await session.releaseCounted(step.name);
        return { ok: true };
      case 'put':
        return { put: await session.put(step.pool, step.item) };
      case 'take': {
        const item = await session.take(step.pool, { wait: wait ?? 0, signal });
        client.locks.set(`${item.pool} ${item.name}`, item);
        return { ok: true, item: item.name, attempt: item.attempt };
      }
      case 'done':
      case 'fail':
      case 'give':
        await session[step.do](step.pool, step.item);
        return { ok: true };
      case 'keep':
        await session.keep(step.pool, step.item, step.seconds === 'inf' ? Infinity : step.seconds);
        return { ok: true };
      case 'pool':
        return session.pool(step.pool);
      case 'book': {
        const { name, seconds, start, slip, shared } = step;
        const booking = await session.book(name, seconds, { start, slip, shared });
        const [begin, end] = [booking.begin, booking.end].map((each) => each.toISOString().replace('.000Z', 'Z'));
        return { ok: true, booking: booking.number, begin, end };
      }
      case 'unbook':
        await session.unbook(this.#value(step.booking));
        return { ok: true };
      case 'bookings': {
        const found = await session.bookings(step.name);
        return { count: found.length, states: found.map((one) => one.state), modes: found.map((one) => one.mode) };
      }
      case 'lost_item':
        return { lost: client.locks.get(`${step.pool} ${step.item}`).lost };
      case 'inspect':
        return { locked: await session.isLocked(step.name) };
      case 'inspect_shared': {
        const count = await session.count(step.name);
        return { locked: count > 0, count };
      }
      case 'holders': {
        const holders = await session.holders(step.name);
        return { holders, count: holders.length };
      }
      case 'holders_shared': {
        const holders = await session.countedHolders(step.name);
        return { holders, count: holders.length };
      }
      case 'lease':
        await session.lease(step.name, step.seconds === 'inf' ? Infinity : step.seconds);
        return { ok: true };
      case 'token':
        return { ok: true, token: await session.token(step.name) };
      case 'check':
        return { current: await session.check(step.name, this.#value(step.token)) };
      case 'lost':
        return { lost: client.locks.get(step.name).lost };
      case 'iam':
        await session.iam(step.name);
        return { ok: true };
      case 'me':
        return session.me();
      case 'who':
        return { names: [...(await session.who(step.name)).values()].sort() };
      case 'stats':
        return session.stats();
      case 'mark':
        client.marked = await session.stats();
        return {};
      case 'grown': {
        const stats = await session.stats();
        const asked = Object.keys({ ...stats, ...step.is, ...step.until });
        return Object.fromEntries(asked.map((key) => [key, (stats[key] ?? 0) - (client.marked[key] ?? 0)]));
      }
      case 'ping':
        await session.ping();
        return { ok: true };
      case 'version':
        return { ok: (await session.version()).startsWith('glockd ') };
      case 'bound':
        return { ok: (await session.bound()) > 0 };
      case 'raw': {
        const heard = await session.raw(step.send, step.hear.length);
        if (JSON.stringify(heard) !== JSON.stringify(step.hear)) {
          throw new Error(`heard ${JSON.stringify(heard)}`);
        }
        return {};
      }
    }
    throw new Error(`unknown step ${step.do}`);
  }

  #got(client, step, lock) {
    client.locks.set(step.name, lock);
    return { ok: true, count: lock.holders };
  }
}
