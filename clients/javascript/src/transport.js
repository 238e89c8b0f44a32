/** What carries commands and replies: a socket of Node, or a WebSocket. */

import { parseServer } from './address.js';
import { GlockError } from './errors.js';

/** Silence on a TCP connection, in milliseconds, after which the system asks whether the daemon is still there. */
const KEEP_ALIVE = 10_000;

/**
 * Open a connection; whatever carries it, it sends commands and hears lines (messages: all lines of a reply).
 *
 * @param {string} server
 * @param {{signal?: AbortSignal, WebSocket?: Function, onReply: Function, onClose: Function}} handlers
 */
export async function open(server, handlers) {
  const address = parseServer(server);
  const { kind, path, url } = address;
  switch (kind) {
    case 'unix':
      return openStream({ path }, address, handlers);
    case 'ws':
    case 'wss':
      if (Object.keys(address.options).length > 0) {
        throw new TypeError(`server ${url}: a WebSocket of JavaScript takes no options`);
      }
      return openWebSocket(url, handlers);
    default:
      return openStream({ host: address.host, port: address.port }, address, handlers);
  }
}

/** One of Node's own modules. */
async function node(name, { kind, url }) {
  try {
    return await import(/* webpackIgnore: true */ /* @vite-ignore */ `node:${name}`);
  } catch (cause) {
    throw new TypeError(`server ${url}: this client does not speak ${kind}:// in a browser, only ws:// and wss://`, {
      cause,
    });
  }
}

/** TLS on a connection, as a tls:// address wants it. */
async function encrypt(plain, address) {
  const { readFile } = await node('fs/promises', address);
  const { checkServerIdentity, connect } = await node('tls', address);
  const { host = address.host, ...files } = address.options;
  const options = {};
  for (const [option, file] of Object.entries(files)) {
    options[option] = await readFile(file);
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
 * @param {object} address
 */
async function openStream(where, address, { signal, onReply, onClose }) {
  const { url } = address;
  const net = await node('net', address);
  signal?.throwIfAborted();
  const plain = net.connect({ ...where, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE });
  let why = 'the daemon hung up';
  const connected = new Promise((resolve, reject) => {
    const failed = (cause) => {
      why = cause.message;
      reject(new GlockError('closed', `${url}: ${cause.message}`, { cause }));
    };
    plain.on('error', failed);
    if (address.kind !== 'tls') {
      plain.once('connect', () => resolve(plain));
      return;
    }
    encrypt(plain, address).then((socket) => {
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

/** The promise, or the signal's reason if that comes first. */
export function abortable(promise, signal) {
  if (signal === undefined) {
    return promise;
  }
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
