/**
 * Against a daemon: GLOCK_SERVER is where, GLOCK_ADMIN its Unix socket, which lets kick. GLOCK_GUARDED is another one, which
 * wants the secret s3cret. Run with node --test.
 */

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import nodeTest from 'node:test';

import { GlockError, LockManager, Session, locks } from '../glock.js';
import { parseServers } from '../src/address.js';

const { GLOCK_SERVER: server, GLOCK_ADMIN: admin, GLOCK_GUARDED: guarded } = process.env;
assert.ok(server && admin && guarded, 'want GLOCK_SERVER, GLOCK_ADMIN and GLOCK_GUARDED');

/** A test that ends, also if what it waits for never comes. */
const test = (title, body) => nodeTest(title, { timeout: 60_000 }, body);

const code = (wanted) => (error) => error instanceof GlockError && error.code === wanted;

/** Repeat until it is true. */
async function until(fact) {
  const deadline = performance.now() + 10_000;
  while (!(await fact())) {
    assert.ok(performance.now() < deadline, `never: ${fact}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function session(t) {
  const made = await Session.connect();
  t.after(() => made.close());
  return made;
}

/** End somebody's connection. */
async function kick(session) {
  const { address } = await session.me();
  const operator = await Session.connect(admin);
  assert.deepEqual(await operator.raw(`kick ${address}`), [`1 Kicked: ${address}`]);
  operator.close();
}

test('request calls back with the lock and releases it', async (t) => {
  const other = await session(t);
  const answer = await locks.request('js request', async (lock) => {
    assert.equal(lock.name, 'js request');
    assert.equal(lock.mode, 'exclusive');
    assert.ok((await lock.token()) > 0);
    assert.equal(await other.isLocked('js request'), true);
    return 42;
  });
  assert.equal(answer, 42);
  assert.equal(await other.isLocked('js request'), false);
});

test('requests of one program exclude each other, in order', async () => {
  const order = [];
  let inside = 0;
  await Promise.all(
    Array.from({ length: 20 }, () =>
      locks.request('js many', async (lock) => {
        inside += 1;
        assert.equal(inside, 1);
        order.push(await lock.token());
        inside -= 1;
      }),
    ),
  );
  assert.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
  assert.equal(order.length, 20);
});

test('what the callback throws is thrown, and the lock is released', async (t) => {
  const other = await session(t);
  const broken = new Error('broken');
  await assert.rejects(
    locks.request('js throws', () => Promise.reject(broken)),
    broken,
  );
  await assert.rejects(
    locks.request('js throws', () => {
      throw broken;
    }),
    broken,
  );
  assert.equal(await other.isLocked('js throws'), false);
});

test('ifAvailable calls back with null if the lock is not to be had', async () => {
  await locks.request('js available', async (outer) => {
    assert.notEqual(outer, null);
    assert.equal(await locks.request('js available', { ifAvailable: true }, (lock) => lock), null);
    assert.equal(await locks.request('js available', { ifAvailable: true, mode: 'shared' }, (lock) => lock), null);
  });
  assert.equal(await locks.request('js available', { ifAvailable: true }, (lock) => lock.name), 'js available');
});

test('shared requests run together and keep exclusive ones out', async () => {
  await locks.request('js shared', { mode: 'shared' }, async () => {
    const holders = await locks.request('js shared', { mode: 'shared' }, (lock) => lock.holders);
    assert.equal(holders, 2);
    assert.equal(await locks.request('js shared', { ifAvailable: true }, (lock) => lock), null);
  });
});

test('counted requests may have a limit', async () => {
  const options = { mode: 'counted', limit: 2 };
  await locks.request('js seats', options, () =>
    locks.request('js seats', options, async (second) => {
      assert.equal(second.holders, 2);
      assert.equal(await locks.request('js seats', { ...options, ifAvailable: true }, (lock) => lock), null);
      assert.equal(await locks.request('js seats', { mode: 'counted' }, (lock) => lock.holders), 3);
    }),
  );
});

test('a counted lock has neither token nor lease, whatever its namesake has', async (t) => {
  const one = await session(t);
  await one.lock('js namesake');
  const counted = await one.counted('js namesake');
  await assert.rejects(counted.token(), code('refused'));
  await assert.rejects(counted.lease(0), code('refused'));
});

test('an aborted request rejects with the reason and leaves nothing behind', async (t) => {
  const other = await session(t);
  await other.lock('js abort');
  const controller = new AbortController();
  const request = locks.request('js abort', { signal: controller.signal }, () => assert.fail('granted'));
  await until(async () => (await other.explain('js abort')).exclusive.waiters.length === 1);
  controller.abort();
  await assert.rejects(request, { name: 'AbortError' });
  await until(async () => (await other.explain('js abort')).exclusive.waiters.length === 0);
  await assert.rejects(
    locks.request('js abort', { signal: AbortSignal.timeout(20) }, () => assert.fail('granted')),
    { name: 'TimeoutError' },
  );
  await assert.rejects(
    locks.request('js abort', { signal: AbortSignal.abort('early') }, () => {}),
    (reason) => reason === 'early',
  );
});

test('a signal does nothing once the lock is granted', async () => {
  const controller = new AbortController();
  const answer = await locks.request('js late abort', { signal: controller.signal }, async (lock) => {
    controller.abort();
    return lock.lost;
  });
  assert.equal(answer, false);
});

test('a wait cancelled while the grant is on its way leaves nothing held', async (t) => {
  const holder = await session(t);
  const waiter = await session(t);
  let granted = 0;
  for (let round = 0; round < 300; round += 1) {
    const lock = await holder.lock('js race');
    const controller = new AbortController();
    const wait = waiter.lock('js race', { signal: controller.signal });
    wait.catch(() => {});
    await until(async () => (await holder.explain('js race')).exclusive.waiters.length === 1);
    const release = lock.release();
    for (let turns = round % 10; turns > 0; turns -= 1) {
      await new Promise(setImmediate);
    }
    controller.abort();
    await release;
    try {
      await (await wait).release();
      granted += 1;
    } catch (error) {
      assert.equal(error.name, 'AbortError');
    }
    await waiter.ping(); // the daemon has acted on what came before
    assert.equal(await holder.isLocked('js race'), false, `round ${round}`);
  }
  t.diagnostic(`granted first in ${granted} of 300 rounds`);
});

test('a lost connection tells whoever relies on a lock', async (t) => {
  const victim = await session(t);
  const lock = await victim.lock('js lost');
  const counted = await victim.counted('js lost');
  const waiting = once(lock.signal, 'abort');
  await kick(victim);
  await waiting;
  assert.equal(lock.lost, true);
  assert.equal(counted.lost, true);
  assert.equal(lock.signal.reason.code, 'lost');
  assert.equal((await victim.closed).code, 'closed');
  await assert.rejects(lock.release(), code('lost'));
  await assert.rejects(lock.token(), code('lost'));
  await assert.rejects(victim.ping(), code('closed'));
});

test('a request rejects if its lock was lost, however its callback ends', async () => {
  const manager = new LockManager();
  const operator = await Session.connect(admin);
  const request = manager.request('js lost request', async (lock) => {
    const [{ address }] = (await operator.explain('js lost request')).exclusive.holders;
    await operator.raw(`kick ${address}`);
    await once(lock.signal, 'abort');
    return 'done';
  });
  await assert.rejects(request, code('lost'));
  assert.equal(await manager.request('js lost request', () => 'again'), 'again');
  operator.close();
  manager.close();
});

test('a connection that died while idle is replaced', async () => {
  const manager = new LockManager();
  const operator = await Session.connect(admin);
  let address;
  await manager.request('js idle', async () => {
    [{ address }] = (await operator.explain('js idle')).exclusive.holders;
  });
  await operator.raw(`kick ${address}`);
  assert.equal(await manager.request('js idle', () => 'served'), 'served');
  operator.close();
  manager.close();
});

test('query tells who holds and who waits, whatever the names', async (t) => {
  const one = await session(t);
  const two = await session(t);
  await one.iam('js: one');
  await one.read('js: query: a');
  await one.counted('js: query: b');
  const waiting = two.lock('js: query: a', { wait: 10 });
  await until(async () => (await one.explain('js: query: a')).exclusive.waiters.length === 1);
  const mine = ({ name }) => name.startsWith('js: query');
  const { held, pending } = await locks.query();
  assert.deepEqual(
    held
      .filter(mine)
      .map(({ name, mode, clientId }) => [name, mode, clientId])
      .sort(),
    [
      ['js: query: a', 'shared', 'js: one'],
      ['js: query: b', 'counted', 'js: one'],
    ],
  );
  assert.deepEqual(
    pending.filter(mine).map(({ name, mode, clientId }) => [name, mode, clientId]),
    [['js: query: a', 'exclusive', (await one.explain('js: query: a')).exclusive.waiters[0].address]],
  );
  await one.release('js: query: a');
  await (await waiting).release();
});

test('commands of one session do not mix', async (t) => {
  const one = await session(t);
  const answers = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      await one.lock(`js mix ${index}`);
      const holders = await one.holders(`js mix ${index}`);
      return [holders.length, await one.isLocked(`js mix ${index}`), (await one.stats()).connections > 0];
    }),
  );
  assert.deepEqual(answers, Array(50).fill([1, true, true]));
});

test('bad arguments are refused before they reach the wire', async (t) => {
  const one = await session(t);
  await assert.rejects(one.lock('a\nb'), code('bad name'));
  await assert.rejects(one.lock('x'.repeat(4096)), code('bad name'));
  await assert.rejects(one.lock('ß'.repeat(2048)), code('bad name'));
  await assert.rejects(one.lock('a', { wait: -1 }), RangeError);
  await assert.rejects(one.lock('a', { wait: Number.NaN }), RangeError);
  await assert.rejects(one.counted('a', { limit: 0, wait: 0 }), code('refused'));
  await assert.rejects(
    locks.request('a', { mode: 'other' }, () => {}),
    TypeError,
  );
  await assert.rejects(locks.request('a', { mode: 'shared' }), TypeError);
  await assert.rejects(
    locks.request('a', { steal: true }, () => {}),
    { name: 'NotSupportedError' },
  );
  await assert.rejects(
    locks.request('a', { ifAvailable: true, signal: AbortSignal.timeout(1) }, () => {}),
    { name: 'NotSupportedError' },
  );
  await assert.rejects(one.lock('a', { wait: -Infinity }), RangeError);
  await assert.rejects(one.raw('ping', -1), RangeError);
  await assert.rejects(one.alive(0), RangeError);
  await assert.rejects(Session.connect(server, { alive: Infinity }), RangeError);
  await assert.rejects(Session.connect(server, { timeout: -1 }), RangeError);
  for (const address of ['http://localhost/', '', 'a,b', 'wss://localhost?ca=x', 'tls://localhost:1?verify=no']) {
    await assert.rejects(Session.connect(address), TypeError);
  }
  await assert.rejects(Session.connect('unix:///nowhere/glockd.sock'), code('closed'));
  await one.lock('x'.repeat(4000));
  assert.equal((await one.stats()).invalid_commands >= 0, true);
});

test('what is no integer never reaches the wire: it might be a name', async (t) => {
  const one = await session(t);
  await one.lock('mine js guarded');
  const token = await one.token('mine js guarded');
  await assert.rejects(one.check('js guarded', `${token} mine`), TypeError);
  await assert.rejects(one.check('js guarded', undefined), TypeError);
  await assert.rejects(one.counted('js guarded', { limit: '2 mine', wait: 0 }), TypeError);
  await assert.rejects(one.lock('js guarded', { wait: '2 mine' }), TypeError);
  await assert.rejects(one.find('exclusive 0 1000 mine'), TypeError);
});

test('half a surrogate pair is refused: in UTF-8 all of them are the same name', async (t) => {
  const one = await session(t);
  await assert.rejects(one.tryLock('js \ud800'), code('bad name'));
  await assert.rejects(one.tryLock('js \udc00 x'), code('bad name'));
  await (await one.tryLock('js 🔒')).release();
});

/** Arguments that a method takes, and where what kind of value belongs: a path into them, with what it may be. */
const METHODS = [
  ['lock', ['js right', { wait: 0 }], { 0: 'text', '1.wait': 'number', '1.signal': 'signal' }],
  ['tryLock', ['js right', {}], { 0: 'text', '1.signal': 'signal' }],
  ['read', ['js right', { wait: 0 }], { 0: 'text', '1.wait': 'number', '1.signal': 'signal' }],
  ['counted', ['js right', { limit: 2, wait: 0 }], { 0: 'text', '1.wait': 'number', '1.limit': 'integer' }],
  ['counted', ['js right', { wait: 0 }], { 0: 'text', '1.wait': 'number', '1.signal': 'signal' }],
  ['check', ['js right', 1], { 0: 'text', 1: 'integer' }],
  ['lease', ['js right', 1], { 0: 'text', 1: 'number' }],
  ['raw', ['ping', 1], { 0: 'text', 1: 'integer' }],
  ['find', ['exclusive', {}], { 0: 'text', '1.from': 'integer', '1.count': 'integer', '1.text': 'text' }],
  ['alive', [10], { 0: 'number' }],
  ...['release', 'releaseCounted', 'isLocked', 'count', 'token', 'holders', 'countedHolders', 'explain'].map((name) => [
    name,
    ['js right'],
    { 0: 'text' },
  ]),
  ...['iam', 'who', 'history'].map((name) => [name, ['js right'], { 0: 'text' }]),
];
const CONNECT = ['tcp://127.0.0.1:1', { secret: 's', timeout: 1, alive: 1 }];
const CONNECT_KINDS = {
  0: 'text',
  '1.secret': 'text',
  '1.timeout': 'number',
  '1.alive': 'number',
  '1.signal': 'signal',
};
const REQUEST = ['js right', {}, () => assert.fail('granted')];

/** Values that are of none of these kinds. */
const WRONG = [
  null,
  true,
  false,
  [],
  ['a'],
  {},
  7n,
  Symbol('a'),
  new Date(),
  Buffer.from('a'),
  { toString: () => 'a' },
];
const ALSO_WRONG = {
  text: [7, 0, 1.5],
  number: ['5', '', 'inf'],
  integer: ['5', '', 1.5, NaN, 2 ** 60],
  signal: [7, 'a'],
};

/** Every way to put a wrong value among right arguments. */
function* mistakes(right, kinds) {
  for (const [path, kind] of Object.entries(kinds)) {
    for (const wrong of [...WRONG, ...ALSO_WRONG[kind]]) {
      const [index, option] = path.split('.');
      const made = [...right];
      made[index] = option === undefined ? wrong : { ...right[index], [option]: wrong };
      yield made;
    }
  }
}

test('what is of another type is a TypeError, and nothing is sent', async (t) => {
  const one = await session(t);
  const lock = await one.lock('js types');
  const counters = async () => {
    const all = Object.entries(await one.stats()).filter(([key]) => key.startsWith('command_') && key !== 'command_q');
    return Object.fromEntries(all);
  };
  const before = await counters();
  let tried = 0;
  const refused = async (call, made) => {
    await assert.rejects(async () => call(...made), TypeError, `${call} ${JSON.stringify(made.map(String))}`);
    tried += 1;
  };
  for (const [method, right, kinds] of METHODS) {
    for (const made of mistakes(right, kinds)) {
      await refused((...given) => one[method](...given), made);
    }
  }
  for (const made of mistakes([1], { 0: 'number' })) {
    await refused((length) => lock.lease(length), made);
  }
  for (const made of mistakes(CONNECT, CONNECT_KINDS)) {
    await refused((...given) => Session.connect(...given), made);
  }
  const { '1.signal': _, ...kinds } = CONNECT_KINDS;
  for (const made of mistakes(CONNECT, kinds)) {
    await refused((place, options) => new LockManager(place, options).request('js right', () => 0), made);
  }
  for (const made of mistakes(REQUEST, { 0: 'text', '1.signal': 'signal' })) {
    await refused((...given) => locks.request(...given), made);
  }
  for (const made of mistakes(['js right', { mode: 'counted', limit: 1 }, REQUEST[2]], { '1.limit': 'integer' })) {
    await refused((...given) => locks.request(...given), made);
  }
  await refused((given) => locks.request(given, REQUEST[2]), [42]);
  assert.ok(tried > 400);
  assert.deepEqual(await counters(), before);
});

test('a wait may be of any size', async (t) => {
  const [holder, waiter] = [await session(t), await session(t)];
  for (const wait of [1e-9, 1, 9223372036, 1e10, 1e20, 1e21, 1e300, Number.MAX_VALUE, Infinity]) {
    const lock = await holder.lock('js years');
    const waiting = waiter.lock('js years', { wait });
    if (wait < 1) {
      await assert.rejects(waiting, code('timeout'));
      await lock.release();
      continue;
    }
    await until(async () => (await holder.explain('js years')).exclusive.waiters.length === 1);
    await lock.lease(wait > 1 ? wait : 60);
    await lock.release();
    await (await waiting).release();
    const patient = await Session.connect(undefined, { timeout: wait });
    await (await patient.lock('js free years', { wait })).release();
    patient.close();
  }
});

const shared = JSON.parse(readFileSync(new URL('../../addresses.json', import.meta.url)));

test('addresses are spelled as for all clients', () => {
  assert.equal(shared.format, 1);
  for (const { spelled, error, several, url, ...wanted } of shared.addresses) {
    if (error !== undefined) {
      assert.throws(
        () => parseServers(spelled),
        (thrown) => {
          assert.ok(thrown instanceof TypeError && thrown.message.includes(error), `${spelled}: ${thrown}`);
          return !thrown.message.includes('me:'); // the secret
        },
      );
      continue;
    }
    const found = parseServers(spelled);
    assert.deepEqual(
      found.map((one) => one.url),
      several ?? [url],
    );
    if (several === undefined) {
      assert.deepEqual({ ...found[0] }, { options: {}, ...wanted, url });
    }
  }
});

/** Run a piece of a program, with what is given as `glock` and `server`, in an environment. */
async function inProcess(text, env = {}) {
  const program = `
    import * as glock from '${new URL('../glock.js', import.meta.url)}';
    const server = process.env.SERVER;
    try { ${text} } catch (error) { console.log(\`\${error.name}: \${error.message}\`); }`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env: { ...process.env, SERVER: server, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (data) => {
    said += data;
  });
  await once(child, 'close');
  return said.trim();
}

test('the environment is read as by all clients', async () => {
  const ping = 'const one = await glock.Session.connect(); await one.ping(); console.log("pong"); one.close();';
  const loud = ` ${server.replace('tcp', 'TCP')}/\n`;
  assert.equal(await inProcess(ping, { GLOCK_SERVER: loud }), 'pong');
  assert.match(await inProcess(ping, { GLOCK_SERVER: 'a,b' }), /^TypeError: .*one server, not several/);
  for (const unset of shared.unset) {
    // A daemon may listen there.
    assert.match(await inProcess(ping, { GLOCK_SERVER: unset }), /^(pong|GlockError: tcp:\/\/127\.0\.0\.1:9999: .*)$/);
  }
});

test('secrets are read as by all clients', async (t) => {
  for (const { secret, sent, error } of shared.secrets) {
    for (const way of ['argument', 'environment']) {
      const heard = [];
      const where = await scripted(t, ['1 ok'], { heard });
      process.env.GLOCK_SECRET = way === 'environment' ? secret : 'another';
      const connecting = Session.connect(where, way === 'argument' ? { secret } : {});
      if (error === undefined) {
        (await connecting).close();
      } else {
        await assert.rejects(connecting, (thrown) => code('bad name')(thrown) && thrown.message.includes(error));
      }
      delete process.env.GLOCK_SECRET;
      assert.equal(heard.join(''), sent ? `auth ${sent}\n` : '');
    }
  }
});

test('close ends every wait, and nothing is granted afterwards', async (t) => {
  const other = await session(t);
  const lock = await other.lock('js close');
  for (const address of [server, admin]) {
    const manager = new LockManager(address);
    const waits = [undefined, 'shared'].map((mode) =>
      manager.request('js close', { mode: mode ?? 'exclusive' }, () => assert.fail('granted')),
    );
    await until(async () => (await other.explain('js close')).exclusive.waiters.length === 2);
    manager.close();
    for (const wait of waits) {
      await assert.rejects(wait, code('closed'));
    }
    await until(async () => (await other.explain('js close')).exclusive.waiters.length === 0);
    await assert.rejects(
      manager.request('js close other', () => assert.fail('granted')),
      code('closed'),
    );
    await assert.rejects(manager.query(), code('closed'));
    manager.close();
  }
  const one = await session(t);
  const waits = [one.lock('js close'), one.ping(), one.lock('js close other')];
  await until(async () => (await other.explain('js close')).exclusive.waiters.length === 1);
  one.close();
  for (const wait of waits) {
    await assert.rejects(wait, code('closed'));
  }
  await lock.release();
  assert.equal(await other.isLocked('js close'), false);
});

test('close loses what is held, and tells whoever watches', async (t) => {
  const [manager, other] = [new LockManager(), await session(t)];
  const request = manager.request('js close held', async (lock) => {
    setImmediate(() => manager.close());
    await once(lock.signal, 'abort');
    return 'done';
  });
  await assert.rejects(request, code('lost'));
  await (await other.lock('js close held')).release();
});

test('a lock granted while the manager is closed is none', async () => {
  for (let turns = 0; turns < 40; turns += 1) {
    let closed = false;
    let manager;
    // Grants at once, and closes the manager while the grant is on its way through so many promises.
    class Hasty extends EventEmitter {
      constructor() {
        super();
        setImmediate(() => this.emit('open'));
      }

      addEventListener(event, listener) {
        this.on(event, listener);
      }

      async send() {
        this.emit('message', { data: '1 Lock Get Success: js hasty\n' });
        for (let turn = 0; turn < turns; turn += 1) {
          await undefined;
        }
        manager.close();
        closed = true;
      }

      close() {}
    }
    manager = new LockManager('ws://127.0.0.1:1', { WebSocket: Hasty });
    const request = manager.request('js hasty', async (lock) => {
      assert.equal(closed, false);
      lock.lost || (await once(lock.signal, 'abort'));
    });
    await assert.rejects(request, (error) => ['closed', 'lost'].includes(error.code));
  }
});

test('close ends connecting, and calls that hang', async (t) => {
  const heard = [];
  for (const options of [{ secret: 'never answered' }, {}]) {
    const manager = new LockManager(await scripted(t, [], { heard }), options);
    const request = manager.request('js hangs', () => assert.fail('granted'));
    request.catch(() => {});
    await until(() => heard.length === 1);
    heard.pop();
    manager.close();
    await assert.rejects(request, code('closed'));
  }
  class Never extends EventEmitter {
    addEventListener(event, listener) {
      this.on(event, listener);
    }

    close() {}
  }
  const manager = new LockManager('ws://127.0.0.1:1', { WebSocket: Never });
  const request = manager.request('js hangs', () => assert.fail('granted'));
  manager.close();
  await assert.rejects(request, code('closed'));
});

test('a daemon that no longer shows that it is alive is lost', async (t) => {
  const sockets = [];
  const heard = [];
  const where = await scripted(t, ['1 ok', '1 Lock Get Success: js alive'], { heard, sockets });
  const one = await Session.connect(where, { alive: 0.6 });
  assert.deepEqual(heard, ['alive 0.600000\n']);
  const lock = await one.tryLock('js alive');
  const wait = one.lock('js awaited');
  wait.catch(() => {});
  for (const began = performance.now(); performance.now() - began < 3000; ) {
    sockets[0].write('! alive\n');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(one.error, undefined);
  const last = performance.now();
  await assert.rejects(wait, code('closed'));
  assert.ok(performance.now() - last > 2000);
  assert.equal(lock.lost, true);
  assert.match(one.error.message, /no sign of life/);
});

test('a real daemon shows that it is alive, to holders and waiters', async (t) => {
  const [holder, waiter] = [await Session.connect(server, { alive: 1 }), await Session.connect(admin, { alive: 0.2 })];
  t.after(() => [holder, waiter].forEach((one) => one.close()));
  const lock = await holder.lock('js living');
  await assert.rejects(waiter.lock('js living', { wait: 3.5 }), code('timeout')); // more than may pass without a sign
  await lock.release();
});

test('the last interval is the one that counts', async (t) => {
  const one = await Session.connect(await scripted(t, ['1 ok', '1 ok', '1 pong']), { alive: 0.02 });
  await one.alive(1e7);
  await new Promise((resolve) => setTimeout(resolve, 3500)); // more than the first would have allowed
  await one.ping();
  one.close();
});

test('a sign of life is no part of a reply', async (t) => {
  const replies = ['! alive\n1 pong', '! alive\na: first\n! alive\na: ! alive', '! alive\nshared_orphans: 0'];
  const one = await Session.connect(await scripted(t, replies, { endsListings: true }));
  await one.ping();
  assert.deepEqual(await one.holders('a'), ['first', '! alive']);
  one.close();
});

test('a lock depends on no other process', async (t) => {
  const other = await session(t);
  const program = `
    import { spawn } from 'node:child_process';
    import { Session } from '${new URL('../glock.js', import.meta.url)}';
    await (await Session.connect()).lock('js child');
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    console.log(child.pid);`;
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [pid] = await once(holder.stdout, 'data');
  holder.kill('SIGKILL');
  await (await other.lock('js child', { wait: 10 })).release();
  process.kill(Number(pid), 'SIGKILL'); // it has lived until now
});

/**
 * The address of a daemon that says these things, each when it has heard a line, its bytes one by one. Then it is silent, or
 * hangs up on the next line. It notes what it heard, and from whom; the question that ends a listing it may answer.
 */
async function scripted(t, replies, { hangsUp = false, endsListings = false, heard = [], sockets = [] } = {}) {
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    let next = 0;
    socket.on('error', () => {});
    socket.on('data', async (data) => {
      for (const line of data.toString().match(/.*\n/g)) {
        heard.push(line);
        if (next === replies.length && hangsUp) {
          socket.destroy();
        }
        const [, nonce] = (endsListings && /^i (.*)\n/.exec(line)) || [];
        const reply = nonce === undefined ? replies[next++] : `! alive\n0 Lock Not Locked: ${nonce}`;
        for (const byte of Buffer.from(reply === undefined ? '' : `${reply}\n`)) {
          await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
        }
      }
    });
  });
  t.after(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `tcp://127.0.0.1:${server.address().port}`;
}

test('what is no answer is not taken for a no', async (t) => {
  for (const reply of ['0 Only TLS Here', '0 Idle Too Long', 'HTTP/1.1 400 Bad Request', '', '0']) {
    const one = await Session.connect(await scripted(t, [reply, reply, reply]));
    await assert.rejects(one.isLocked('a'), code('refused'));
    await assert.rejects(one.check('a', 1), code('refused'));
    await assert.rejects(one.tryLock('a'), code('refused'));
    one.close();
  }
});

test('a release that comes too late says that the lock was lost', async (t) => {
  const late = '! lost ß lease\n0 Lock Release Failure: ß';
  const manager = new LockManager(await scripted(t, ['1 Lock Get Success: ß', late]));
  await assert.rejects(
    manager.request('ß', () => 'done'),
    code('lost'),
  );
  manager.close();
});

test('a daemon that dies ends waits and locks', async (t) => {
  const one = await Session.connect(await scripted(t, ['1 Lock Get Success: held'], { hangsUp: true }));
  const lock = await one.tryLock('held');
  await assert.rejects(one.lock('awaited'), code('closed'));
  await one.closed;
  assert.equal(lock.lost, true);
});

test('a daemon that hangs is given up', async (t) => {
  for (const ask of [(one) => one.ping(), (one) => one.tryLock('a'), (one) => one.lock('a', { wait: 0.02 })]) {
    const one = await Session.connect(await scripted(t, []), { timeout: 0.05 });
    await assert.rejects(ask(one), code('closed'));
    assert.equal(one.error.code, 'closed');
  }
  const manager = new LockManager(await scripted(t, ['1 Lock Get Success: a']), { timeout: 0.05 });
  await assert.rejects(
    manager.request('a', () => 'done'),
    code('lost'),
  );
});

test('a wait may be longer than any timeout', async (t) => {
  const [holder, waiter] = [await session(t), await Session.connect(undefined, { timeout: 0.05 })];
  t.after(() => waiter.close());
  const lock = await holder.lock('js patient');
  const waits = [waiter.lock('js patient'), waiter.lock('js patient', { wait: 1e9 })];
  await new Promise((resolve) => setTimeout(resolve, 100)); // twice the timeout
  await lock.release();
  await Promise.all(waits);
});

test('a WebSocket that must be listened to for errors is', async () => {
  class Strict extends EventEmitter {
    constructor() {
      super();
      setImmediate(() => {
        this.emit('error', new Error('refused')); // throws if nobody listens, as an EventEmitter does
        this.emit('close', { code: 1006 });
      });
    }

    addEventListener(event, listener) {
      this.on(event, listener);
    }

    close() {}
  }
  await assert.rejects(Session.connect('ws://127.0.0.1:1/', { WebSocket: Strict }), code('closed'));
});

test('query tells of locks too long of name to ask about', async (t) => {
  const one = await session(t);
  const two = await session(t);
  const name = 'js long ' + 'x'.repeat(4080);
  for (const each of [one, two]) {
    await each.raw(`sg ${name}`);
  }
  const { held } = await locks.query();
  assert.deepEqual(
    held.filter((lock) => lock.name === name).map(({ mode }) => mode),
    ['counted'],
  );
  assert.equal((await one.names()).includes(name), true);
});

test('find gives a page', async (t) => {
  const one = await session(t);
  await one.lock('js page 1');
  await one.lock('js page 2');
  const { entries, total } = await one.find('exclusive', { count: 1, text: 'js page' });
  assert.deepEqual([entries.length, entries[0].name, total >= 2], [1, 'js page 1', true]);
  assert.deepEqual((await one.find('exclusive', { text: 'js no such page' })).entries, []);
});

test('a daemon may want a secret', async () => {
  const manager = new LockManager(guarded, { secret: 's3cret' });
  assert.equal(await manager.request('js secret', (lock) => lock.name), 'js secret');
  manager.close();
  await assert.rejects(Session.connect(guarded, { secret: 'wrong' }), code('not authorised'));
  await assert.rejects(
    new LockManager(guarded).request('js secret', () => assert.fail()),
    code('not authorised'),
  );
});

test('a program ends although its manager keeps connections', async () => {
  const program = `
    import { locks } from '${new URL('../glock.js', import.meta.url)}';
    console.log(await locks.request('js ends', (lock) => lock.name));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (data) => {
    said += data;
  });
  const [status] = await once(child, 'close');
  assert.equal(said, 'js ends\n');
  assert.equal(status, 0);
});
