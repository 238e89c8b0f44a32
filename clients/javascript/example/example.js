import { locks } from '../glock.js'; // the daemon that GLOCK_SERVER names

const answer = await locks.request('nightly backup', async (lock) => {
  console.log('holding', lock.name, 'with a token:', (await lock.token()) > 0);
  // lock.signal aborts if the lock is lost: hand it to fetch and the like.
  return 'done';
});
console.log(answer);

await locks.request('nightly backup', { mode: 'shared', signal: AbortSignal.timeout(10_000) }, async () => {
  const { held } = await locks.query();
  console.log(held.map(({ name, mode }) => `${name} is held, ${mode}`).join());
});

await locks.request('nightly backup', { ifAvailable: true }, (lock) => {
  console.log(lock === null ? 'somebody else has it' : 'nobody else had it');
});
