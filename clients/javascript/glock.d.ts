/**
 * Client of glockd, the lock daemon: named locks that last as long as the connection they were taken on.
 *
 * Whatever is of another type than said here is refused with a TypeError, and nothing is sent: a name is a string, and 7 is
 * none. A number out of its range is a RangeError.
 */

/**
 * Why something was refused or failed:
 * - `busy`: not to be had at once; `timeout`: not within `wait` seconds;
 * - `deadlock`: waiting could never have ended, since those in the way wait for this session;
 * - `not held`: this session does not hold the lock, or released it before;
 * - `lost`: the hold ended without being released: its lease ran out or its connection ended;
 * - `closed`: there is no connection, or no longer;
 * - `bad name`: the name holds a line feed or half a surrogate pair, or the command would be longer than 4095 bytes;
 * - `not authorised`: the daemon wants a secret, or another one;
 * - `refused`: another reason, which the message tells.
 */
export type Code =
  | 'busy'
  | 'timeout'
  | 'deadlock'
  | 'not held'
  | 'lost'
  | 'closed'
  | 'bad name'
  | 'not authorised'
  | 'refused';

export class GlockError extends Error {
  constructor(code: Code, message: string, options?: ErrorOptions);
  readonly name: 'GlockError';
  readonly code: Code;
}

/** `exclusive` keeps out all others, `shared` only exclusive ones; `counted` locks are of another kind and may have a limit. */
export type Mode = 'exclusive' | 'shared' | 'counted';

/** A hold of a lock, until `release()` or until it is lost. */
export interface Lock {
  /** As the daemon understood it: single spaces, none at the ends. */
  readonly name: string;
  readonly mode: Mode;
  /** How many held it when it was granted, this one included; 1 if it is exclusive. */
  readonly holders: number;
  /** Whether the hold has ended without `release()`. */
  readonly lost: boolean;
  /** Aborts when the lock is lost, with a `GlockError` of code `lost`: whoever relies on the lock must stop then. */
  readonly signal: AbortSignal;
  /**
   * The fencing token: larger than that of every earlier grant of any lock. Hand it to whatever the lock protects, so that
   * it can turn away a late comer with a smaller one. Not for counted locks.
   */
  token(): Promise<number>;
  /**
   * Let the daemon take the lock back after so many seconds, unless it is told again by then; `Infinity` takes the lease
   * off. It is for holders that may hang while their connection lives. Not for counted locks.
   */
  lease(seconds: number): Promise<void>;
  /** Give it back. Within `LockManager.request` leave that to the manager. */
  release(): Promise<void>;
}

/** An item of a work list that is this session's, until its end is told or until it is lost. */
export interface Item {
  readonly pool: string;
  /** As the daemon understood it: single spaces, none at the ends. */
  readonly name: string;
  /** How often it has been taken, this time included. */
  readonly attempt: number;
  /** Whether it is held as far as is known. */
  readonly held: boolean;
  /** Whether it was taken away without `done`, `fail` or `give`. */
  readonly lost: boolean;
  /** Aborts when the item is lost, with a `GlockError` of code `lost`: it is or will be somebody else's. */
  readonly signal: AbortSignal;
  /** It is finished, and gone. */
  done(): Promise<void>;
  /** It is given up: gone, and counted as failed. */
  fail(): Promise<void>;
  /** It goes back, behind those tried less. */
  give(): Promise<void>;
  /** Let the daemon take it back after so many seconds, unless it is told again by then; `Infinity` ends that. */
  keep(seconds: number): Promise<void>;
}

/** What there is of a work list, in numbers. */
export interface Pool {
  pool: string;
  free: number;
  held: number;
  waiting: number;
  done: number;
  failed: number;
  orphaned: number;
}

/** A window that is booked. It outlives who has booked it, and a restart of the daemon. */
export interface Booking {
  /** Never used again. */
  number: number;
  name: string;
  begin: Date;
  end: Date;
  shared: boolean;
}

export interface WindowOptions {
  /** When it is to begin: a moment, or so many seconds from now. Now if absent. */
  start?: Date | number;
  /** By how many seconds it may be later, if it is in somebody's way. */
  slip?: number;
  /** Beside others that are shared. */
  shared?: boolean;
}

/** A window as it is listed. */
export interface Booked {
  id: number;
  name: string;
  mode: 'exclusive' | 'shared';
  start: string;
  end: string;
  state: 'pending' | 'running';
  by: string;
  task: string | null;
}

export type Listing = 'exclusive' | 'shared' | 'waited' | 'pools' | 'sessions' | 'held' | 'history';

export interface Page {
  entries: Record<string, unknown>[];
  /** The `from` of the following page; null behind the last. */
  next: number | null;
  /** How many entries there are, whatever `text` is. */
  total: number;
  /** How many sessions stand in line. */
  waiting: number;
}

export interface ConnectOptions {
  /** For a daemon that wants one. By default what the environment variable GLOCK_SECRET says, if it is set. */
  secret?: string;
  /**
   * How often, in seconds, rounded up to whole ones, the daemon shows that it is alive, also while a lock is waited for. It
   * is for a path that ends silent connections. If for 2.5 times as long nothing comes, the session ends.
   */
  alive?: number;
  /** Gives up connecting. */
  signal?: AbortSignal;
  /**
   * Seconds that the daemon has for each reply that need not be waited for, and after the end of each wait; by default 10.
   * Then the connection is given up. `Infinity` is for ever.
   */
  timeout?: number;
  /** What to use for ws:// and wss:// where the JavaScript has none: Node before version 22, with the package `ws`. */
  WebSocket?: new (url: string) => object;
}

export interface WaitOptions {
  /** Seconds to stand in line, first come, first served; 0 is not at all. By default for ever. */
  wait?: number;
  /** Gives the wait up: the promise rejects with the signal's reason, and nothing is held. */
  signal?: AbortSignal;
}

/**
 * One connection: one holder, who holds any number of locks until the connection ends.
 *
 * What it holds is granted to it again at once, and released once. While it waits for a lock, what else it is asked for
 * comes later, since the daemon serves a connection in order. In return the daemon refuses a deadlock between sessions.
 */
export class Session {
  /**
   * @param server tcp://host:port, unix:///path or tls://host:port (Node), ws://host:port/ or wss:// (browsers, Node from 22
   *     on); host, host:port and /path will do; without a port it is 9999, or 9998 for ws:// and wss://. By default what the environment variable GLOCK_SERVER says, else tcp://127.0.0.1:9999; in a page, the page's own
   *     host and port. A tls:// address takes ?ca=FILE, the authorities to trust instead of Node's, cert=FILE and key=FILE, this
   *     client's own certificate, and host=NAME, which the daemon's certificate must be for.
   */
  static connect(server?: string, options?: ConnectOptions): Promise<Session>;
  private constructor();

  /** Resolves, with the reason, when the session has ended. */
  readonly closed: Promise<GlockError>;
  /** Why the session ended; undefined while it lives. */
  readonly error: GlockError | undefined;
  /** Hang up: whatever is held is lost, and free for others; whatever is waited for rejects with `closed`. */
  close(): void;
  /** Have the daemon show every so many seconds that it is alive; see `ConnectOptions`. Another call changes that. */
  alive(interval: number): Promise<void>;

  lock(name: string, options?: WaitOptions): Promise<Lock>;
  /** As `lock`, but rejects with `busy` if somebody has it. It needs no more than the oldest daemon. */
  tryLock(name: string, options?: { signal?: AbortSignal }): Promise<Lock>;
  /** The same lock, together with other readers. */
  read(name: string, options?: WaitOptions): Promise<Lock>;
  /** The counted lock of that name; with a limit, once fewer than that hold it, else at once. */
  counted(name: string, options?: WaitOptions & { limit?: number }): Promise<Lock>;
  release(name: string): Promise<void>;
  releaseCounted(name: string): Promise<void>;

  /** Offer an item to whoever takes one; false if it is there already, free or taken, or there is no room. */
  put(pool: string, item: string): Promise<boolean>;
  /** Any item of a pool: those tried least first, then the oldest; also of a pool that is still empty. */
  take(pool: string, options?: WaitOptions): Promise<Item>;
  done(pool: string, item: string): Promise<void>;
  fail(pool: string, item: string): Promise<void>;
  give(pool: string, item: string): Promise<void>;
  keep(pool: string, item: string, seconds: number): Promise<void>;
  pool(pool: string): Promise<Pool>;
  pools(): Promise<Pool[]>;

  /**
   * Book a window: the name for so many seconds. Windows have their own names, apart from those of locks. Rejects with
   * `busy` if there is no room, or if it lies further ahead than the daemon books.
   */
  book(name: string, length: number, options?: WindowOptions): Promise<Booking>;
  /** Give a window back, or end it; rejects with `not held` if it is over, or was booked from another address. */
  unbook(booking: Booking | number): Promise<void>;
  /** The windows of a name, or of all, that are on or to come, by their beginning. */
  bookings(name?: string): Promise<Booked[]>;

  isLocked(name: string): Promise<boolean>;
  /** How many hold the counted lock. */
  count(name: string): Promise<number>;
  /** The fencing token of this session's hold. */
  token(name: string): Promise<number>;
  /** Whether the token is the one now in force: for whoever guards the resource itself. */
  check(name: string, token: number): Promise<boolean>;
  lease(name: string, seconds: number): Promise<void>;
  /** Chosen names of the holders, or addresses of those who chose none. */
  holders(name: string): Promise<string[]>;
  countedHolders(name: string): Promise<string[]>;
  /** The names of all locks, exclusive and counted. */
  names(): Promise<string[]>;
  /** A page of a long listing, as docs/protocol.md tells: `count` (1 to 1000) entries from place `from` on, with `text` in them. */
  find(what: Listing, options?: { from?: number; count?: number; text?: string }): Promise<Page>;

  /** Choose a name for listings, or take it back. It gives no rights and need not be unique. */
  iam(name?: string): Promise<void>;
  me(): Promise<{ address: string; name: string }>;
  /** The names that sessions chose, by address. */
  who(name?: string): Promise<Map<string, string>>;
  /** The daemon's counters. */
  stats(): Promise<Record<string, number>>;
  /** Who holds the lock and who waits, as docs/protocol.md tells. */
  explain(name: string): Promise<Record<string, unknown>>;
  history(name?: string): Promise<Record<string, unknown>[]>;
  ping(): Promise<void>;
  version(): Promise<string>;
  /** Seconds within which the daemon finds out that a peer has vanished without a word. */
  bound(): Promise<number>;
  /** Send one line, and give so many lines of reply, by default one. An invalid command has none. */
  raw(line: string, lines?: number): Promise<string[]>;
}

export interface RequestOptions {
  mode?: Mode;
  /** Call back at once: with null if the lock is not to be had. Not together with `signal`. */
  ifAvailable?: boolean;
  /** How many may hold a counted lock. */
  limit?: number;
  /** Gives the wait up: the promise rejects with the signal's reason. Once the lock is granted it does nothing. */
  signal?: AbortSignal;
}

export interface LockInfo {
  name: string;
  mode: Mode;
  /** The name its holder chose, or the address. */
  clientId: string;
  address: string;
  /** For how long it has been held or waited for. */
  seconds: number;
  /** Of a holder. */
  token?: number;
}

/**
 * Locks in the shape of `navigator.locks`, but for all that reach the daemon. Each request has a connection of its own, from
 * a pool.
 */
export class LockManager {
  /** Connects when there is something to ask for. Arguments as for `Session.connect`. */
  constructor(server?: string, options?: Omit<ConnectOptions, 'signal'>);
  /**
   * Wait for the lock, call back with it, and release it when what the callback returned has settled.
   *
   * @returns what the callback returned. Rejects with what it threw; with `lost` if the lock was lost meanwhile, so that
   *     others may have had it; with the signal's reason; with `closed` if there is no daemon.
   */
  request<T>(name: string, callback: (lock: Lock) => T | PromiseLike<T>): Promise<T>;
  request<T>(
    name: string,
    options: RequestOptions & { ifAvailable: true },
    callback: (lock: Lock | null) => T | PromiseLike<T>,
  ): Promise<T>;
  request<T>(
    name: string,
    options: RequestOptions & { ifAvailable?: false },
    callback: (lock: Lock) => T | PromiseLike<T>,
  ): Promise<T>;
  /** Offer an item to whoever takes one; false if it is there already, free or taken, or there is no room. */
  put(pool: string, item: string): Promise<boolean>;
  /**
   * Wait for an item of a pool, call back with it, and say that it is done when what the callback returned has settled; if
   * that threw, the item is given back. The callback may say itself what became of it.
   *
   * @returns as `request`.
   */
  take<T>(pool: string, callback: (item: Item) => T | PromiseLike<T>): Promise<T>;
  take<T>(
    pool: string,
    options: { ifAvailable: true },
    callback: (item: Item | null) => T | PromiseLike<T>,
  ): Promise<T>;
  take<T>(
    pool: string,
    options: { ifAvailable?: false; signal?: AbortSignal },
    callback: (item: Item) => T | PromiseLike<T>,
  ): Promise<T>;
  /** All work lists, in numbers. */
  pools(): Promise<Pool[]>;
  /** Book a window; as `Session.book`. */
  book(name: string, length: number, options?: WindowOptions): Promise<Booking>;
  /** Give a window back, or end it; as `Session.unbook`. */
  unbook(booking: Booking | number): Promise<void>;
  /** The windows of a name, or of all, that are on or to come, by their beginning. */
  bookings(name?: string): Promise<Booked[]>;
  /** Who holds and who waits for which lock, in the whole daemon. It asks page by page, and again about each lock with several holders or a waiter. */
  query(): Promise<{ held: LockInfo[]; pending: LockInfo[] }>;
  /**
   * Close all connections, for good. Requests that wait reject with `closed`, locks that are held are lost, which their
   * `signal` tells, and nothing is granted afterwards.
   */
  close(): void;
}

/** The manager for the default server. */
export const locks: LockManager;
