// Never run: tsc tells whether the declarations fit how the module is used.
import { GlockError, LockManager, Session, locks } from '../glock.js';

export async function uses(): Promise<number> {
  const answer: number = await locks.request('job', async (lock) => lock.token());
  await locks.request('job', { mode: 'shared', signal: AbortSignal.timeout(1000) }, (lock) => lock.holders);
  await locks.request('job', { ifAvailable: true }, (lock) => (lock === null ? 'busy' : lock.name));
  // @ts-expect-error: with ifAvailable there may be no lock
  await locks.request('job', { ifAvailable: true }, (lock) => lock.name);
  // @ts-expect-error: there is no such mode
  await locks.request('job', { mode: 'stolen' }, () => 0);
  // @ts-expect-error: a number is no name
  await locks.request(7, () => 0);
  const manager = new LockManager('unix:///run/glockd.sock', { secret: 's3cret', alive: 20 });
  const { held, pending } = await manager.query();
  const session = await Session.connect();
  await session.alive(30);
  try {
    const lock = await session.counted('seats', { limit: 2, wait: 5 });
    lock.signal.addEventListener('abort', () => session.close());
    await lock.lease(30);
  } catch (error) {
    if (error instanceof GlockError && error.code === 'timeout') {
      return 0;
    }
    throw error;
  }
  return answer + held.length + pending.length;
}
