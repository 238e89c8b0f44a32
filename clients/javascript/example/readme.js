import { locks } from 'glockd-client';

await locks.request('job', async (lock) => {
  console.log('mine:', (await lock.token()) > 0); // lock.signal aborts if the lock is lost
});
