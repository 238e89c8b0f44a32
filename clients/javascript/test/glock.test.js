/**
 * Against a daemon: GLOCK_SERVER is where, GLOCK_ADMIN its Unix socket, which lets kick. GLOCK_GUARDED is another one, which
 * wants the secret s3cret. Run with node --test.
 */

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import test from 'node:test';

import { GlockError, LockManager, Session, locks } from '../glock.js';

const { GLOCK_SERVER: server, GLOCK_ADMIN: admin, GLOCK_GUARDED: guarded } = process.env;
assert.ok(server && admin && guarded, 'want GLOCK_SERVER, GLOCK_ADMIN and GLOCK_GUARDED');

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
  for (const address of [
    'http://localhost/',
    'tls://localhost',
    'tls://localhost:1?verify=no',
    'tcp://localhost:1?ca=x',
  ]) {
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
  await assert.rejects(one.lock('js guarded', { wait: '2 mine' }), RangeError);
});

test('half a surrogate pair is refused: in UTF-8 all of them are the same name', async (t) => {
  const one = await session(t);
  await assert.rejects(one.tryLock('js \ud800'), code('bad name'));
  await assert.rejects(one.tryLock('js \udc00 x'), code('bad name'));
  await (await one.tryLock('js 🔒')).release();
});

test('a name may be whatever has a text', async () => {
  assert.equal(await locks.request(42, ({ name }) => name), '42');
});

/**
 * The address of a daemon that says these things, each when it has heard a line, its bytes one by one. Then it is silent, or
 * hangs up on the next line.
 */
async function scripted(t, replies, { hangsUp = false } = {}) {
  const sockets = [];
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    let next = 0;
    socket.on('error', () => {});
    socket.on('data', async (heard) => {
      for (let lines = heard.toString().split('\n').length - 1; lines > 0; lines -= 1) {
        if (next === replies.length && hangsUp) {
          socket.destroy();
        }
        for (const byte of Buffer.from(next < replies.length ? `${replies[next++]}\n` : '')) {
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
