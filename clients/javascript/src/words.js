/** What is sent and heard, and what arguments have to be. */

import { GlockError } from './errors.js';

/** The longest command that the daemon takes whole on a stream, in bytes without the line feed. */
const MAX_LINE = 4095;

/** Unicode's white space, which the daemon takes for a space in names; \s is another set. */
const WHITE_SPACE = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

/** What is wrong before anything is sent: a number would be another name than in the other languages' clients. */
export function checkText(what, value) {
  if (typeof value !== 'string') {
    throw new TypeError(`${what}: want a string`);
  }
}

/** Text would be sent as it is, and might hold a space and the beginning of another name. */
export function checkInteger(what, value) {
  if (!Number.isSafeInteger(value)) {
    throw new TypeError(`${what}: want an integer`);
  }
}

export function checkSeconds(what, value) {
  if (typeof value !== 'number') {
    throw new TypeError(`${what}: want a number of seconds, or Infinity`);
  }
  if (!(value >= 0)) {
    throw new RangeError(`${what}: ${value}, want 0 or more seconds, or Infinity`);
  }
}

/** A pool's name, as the daemon knows it: one word. */
export function poolName(pool) {
  checkText('pool', pool);
  const name = normalise(pool);
  checkSendable(pool);
  if (name === '' || name.includes(' ')) {
    throw new GlockError('bad name', `a pool's name is one word, not ${JSON.stringify(pool)}`);
  }
  return name;
}

/** An item, as the daemon knows it. */
export function itemName(item) {
  checkText('item', item);
  checkSendable(item);
  const name = normalise(item);
  if (name === '') {
    throw new GlockError('bad name', 'an item is not empty');
  }
  return name;
}

/** A window's name, as the daemon knows it. */
export function windowName(window) {
  checkText('name', window);
  checkSendable(window);
  const name = normalise(window);
  if (name === '') {
    throw new GlockError('bad name', 'a window has a name');
  }
  return name;
}

/** When a window is to begin, as the daemon wants it: a Date, or a number of seconds from now. */
export function startWords(start) {
  if (!(start instanceof Date)) {
    return start === 0 ? 'now' : `+${seconds('start', start)}`;
  }
  // The daemon takes whole seconds; none begins before it was wanted.
  return new Date(1000 * Math.ceil(start.getTime() / 1000)).toISOString().replace('.000Z', 'Z');
}

export function checkSignal(signal) {
  if (signal !== undefined && typeof signal?.throwIfAborted !== 'function') {
    throw new TypeError('signal: want an AbortSignal');
  }
}

export function checkSendable(command) {
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
export function normalise(name) {
  return name.replace(WHITE_SPACE, ' ').replace(/^ | $/g, '');
}

/** A number of seconds as the daemon wants it. */
export function seconds(what, length) {
  checkSeconds(what, length);
  if (length === Infinity) {
    return 'inf';
  }
  return length < 1e21 ? length.toFixed(6) : BigInt(length).toString(); // toFixed would give an exponent
}

/** What is sent of a secret, '' for nothing: white space around it, such as a file's line end, is no part of it. */
export function secretWords(secret) {
  checkText('secret', secret);
  if (/[\r\n]/.test(secret.trim())) {
    throw new GlockError('bad name', 'a secret cannot hold a line end');
  }
  return normalise(secret);
}

/** Something that nobody guesses; crypto.randomUUID is missing in pages that came without TLS. */
export function nonce() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The number that a reply begins with, or 0. */
export function number(reply) {
  return Number.parseInt(reply, 10) || 0;
}

export function json(reply) {
  return JSON.parse(reply.slice(reply.indexOf(' ') + 1));
}

export function pair(line) {
  const colon = line.indexOf(': ');
  return [line.slice(0, colon), line.slice(colon + 2)];
}

/** The lines of a message, without their ends. */
export function lines(text) {
  const all = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (all.at(-1) === '') {
    all.pop();
  }
  return all;
}
