/** What can go wrong, and which replies mean it. */

/** What negative replies mean. */
const REFUSALS = [
  ['0 Lock Get Failure: ', 'busy'],
  ['0 Shared Lock Get Failure: ', 'busy'],
  ['0 Lock Get Deadlock: ', 'deadlock'],
  ['0 Shared Lock Get Deadlock: ', 'deadlock'],
  ['0 Lock Release Failure: ', 'not held'],
  ['0 Shared Lock Release Failure: ', 'not held'],
  ['0 Lock Lease Failure: ', 'not held'],
  ['0 Lock Token: ', 'not held'],
  ['0 Item Take Failure: ', 'busy'],
  ['0 Item Done Failure: ', 'not held'],
  ['0 Item Fail Failure: ', 'not held'],
  ['0 Item Give Failure: ', 'not held'],
  ['0 Item Keep Failure: ', 'not held'],
  ['0 Not Booked: ', 'busy'],
  ['0 Unbook Failure: ', 'not held'],
  ['0 Not Authorised', 'not authorised'],
];

/** What is a plain answer to a question: a number from 1 on, or one of these. Nothing else must be taken for a no. */
const ANSWER =
  /^([1-9]\d*( |$)|0 Lock Not Locked: |0 Shared Lock Not Locked: |0 Lock Token Stale: |0 Item Put Failure: |0 [[{])/;

export class GlockError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = 'GlockError';
    this.code = code;
  }
}

/** The loss of a lock or item that comes with the end of its session. */
export function lost(cause) {
  return new GlockError('lost', `it was lost: ${cause.message}`, { cause });
}

/** What a reply means if it is no answer: a code, or undefined. */
export function refusal(reply) {
  if (ANSWER.test(reply)) {
    return undefined;
  }
  return REFUSALS.find(([prefix]) => reply.startsWith(prefix))?.[1] ?? 'refused';
}

/** Throw what a reply means, if it is no answer. */
export function check(reply) {
  const code = refusal(reply);
  if (code !== undefined) {
    throw new GlockError(code, reply);
  }
}
