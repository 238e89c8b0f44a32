/**
 * Client of glockd, the lock daemon, for browsers (ws://, wss://) and for Node (tcp://, unix://, tls://; ws:// where there
 * is a WebSocket). Types and documentation of what is exported are in glock.d.ts.
 */

export { GlockError } from './src/errors.js';
export { Item } from './src/item.js';
export { Lock } from './src/lock.js';
export { LockManager, locks } from './src/manager.js';
export { Session } from './src/session.js';
