<?php

declare(strict_types=1);

namespace Glock;

/**
 * A connection to glockd: one holder, who holds any number of locks until it releases them or the connection ends,
 * which it does with the script at the latest.
 *
 * It belongs to the process that made it: in a forked child everything throws, and the parent's locks stay as they are.
 * What is to be text must be a string, and what is to be a number one; all else is a TypeError, also where PHP would
 * convert it.
 */
final class Client
{
    use Questions;
    use Work;
    use Windows;

    /** The daemon's address where neither the caller nor the environment variable GLOCK_SERVER tells one. */
    public const DEFAULT_SERVER = 'tcp://127.0.0.1:9999';

    /** What negative replies mean. */
    private const REFUSALS = [
        '0 Lock Get Failure: ' => LockBusy::class,
        '0 Shared Lock Get Failure: ' => LockBusy::class,
        '0 Lock Get Deadlock: ' => Deadlock::class,
        '0 Shared Lock Get Deadlock: ' => Deadlock::class,
        '0 Lock Release Failure: ' => NotHeld::class,
        '0 Shared Lock Release Failure: ' => NotHeld::class,
        '0 Lock Lease Failure: ' => NotHeld::class,
        '0 Lock Token: ' => NotHeld::class,
        '0 Item Take Failure: ' => LockBusy::class,
        '0 Item Done Failure: ' => NotHeld::class,
        '0 Item Fail Failure: ' => NotHeld::class,
        '0 Item Give Failure: ' => NotHeld::class,
        '0 Item Keep Failure: ' => NotHeld::class,
        '0 Not Booked: ' => LockBusy::class,
        '0 Unbook Failure: ' => NotHeld::class,
        '0 Not Authorised' => NotAuthorised::class,
    ];

    /** What is a plain answer to a question: a number from 1 on, or one of these. */
    private const ANSWER = '/^(?:[1-9]\d*(?: |$)|0 Lock Not Locked: |0 Shared Lock Not Locked: '
        . '|0 Lock Token Stale: |0 Item Put Failure: |0 \[\])/';

    /** Unicode's white space in UTF-8, which the daemon takes for a space in names. */
    private const WHITE_SPACE = '/(?:[\t-\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]'
        . '|\xe2\x81\x9f|\xe3\x80\x80)+/';

    private readonly Connection $connection;
    /** @var array<string, \WeakReference<Lock|Item>> locks by the command that releases them, and items */
    private array $held = [];
    private bool $notified = false;
    private readonly float $timeout;
    private readonly string $nonce;

    /**
     * Connect.
     *
     * @param string|null $server tcp://host:port, unix:///path, or tls://host:port with ?ca=FILE (the authorities to
     *     trust instead of the system's), cert=FILE and key=FILE (this client's own certificate), host=NAME (whom the
     *     daemon's is for); host, host:port and /path will do; null: GLOCK_SERVER, else DEFAULT_SERVER
     * @param float $timeout seconds that the daemon has for accepting, and for each reply that need not be waited for;
     *     afterwards the connection is lost
     * @param string|null $secret for a daemon that wants one; null: GLOCK_SECRET, if there is one
     * @param float|null $alive how often, in seconds, rounded up to whole ones, the daemon shows that it is alive, also
     *     while a lock is waited for; if for 2.5 times as long nothing comes, the connection is lost; null: it does not
     * @throws ConnectionLost if there is no daemon, or not one to trust
     * @throws NotAuthorised if it wants another secret
     * @throws BadName if there is a line end in the secret
     * @throws \InvalidArgumentException if $server is none of these
     */
    public function __construct(
        mixed $server = null,
        mixed $timeout = 10.0,
        #[\SensitiveParameter] mixed $secret = null,
        mixed $alive = null
    ) {
        $address = Address::of($server === null ? self::configured() : Argument::text('server', $server));
        $secret = self::secret($secret === null ? (string) getenv('GLOCK_SECRET') : Argument::text('secret', $secret));
        $interval = $alive === null ? null : self::interval($alive);
        $this->timeout = Argument::seconds('timeout', $timeout);
        $this->nonce = bin2hex(random_bytes(16));
        // No reference from the connection back to the client, so that it is closed as soon as nobody has the client.
        $self = \WeakReference::create($this);
        $this->connection = new Connection(
            $address,
            $this->timeout,
            static fn (string $line, bool $listing): bool => $self->get()?->pushed($line, $listing) ?? true,
            static fn (string $why) => $self->get()?->ended($why)
        );
        if ($secret !== '') {
            $this->ask('auth ' . $secret);
        }
        if ($interval !== null) {
            $this->ask('alive ' . self::seconds($interval));
            $this->connection->watch($interval);
        }
    }

    public function __destruct()
    {
        if (isset($this->connection)) {
            $this->connection->close();
        }
    }

    /** Hang up. What is held is lost, and free for others; what is waited for ends with ConnectionLost. */
    public function close(): void
    {
        $this->connection->close();
    }

    /**
     * Take the exclusive lock of that name. A client that holds it already is granted it again, and releases it once.
     *
     * @param string $name
     * @param float $wait seconds to stand in line for it, first come, first served; INF: for ever; 0: not at all
     * @throws LockBusy if it was not to be had at once
     * @throws WaitTimeout if it was not to be had in time
     * @throws Deadlock if waiting could never have ended
     * @throws BadName
     * @throws ConnectionLost
     */
    public function lock(mixed $name, mixed $wait = INF): Lock
    {
        return $this->startLock($name, $wait)->get();
    }

    /**
     * Take the exclusive lock if nobody has it. It needs no more than the oldest daemon.
     *
     * @param string $name
     * @throws LockBusy|BadName|ConnectionLost as lock() does
     */
    public function tryLock(mixed $name): Lock
    {
        return $this->start('g ', 'r ', Argument::text('name', $name), 0.0)->get();
    }

    /**
     * Take the lock together with other readers, while nobody has it by lock().
     *
     * @param string $name
     * @param float $wait seconds to stand in line for it; INF: for ever; 0: not at all
     * @throws LockBusy|WaitTimeout|Deadlock|BadName|ConnectionLost as lock() does
     */
    public function read(mixed $name, mixed $wait = INF): Lock
    {
        return $this->startRead($name, $wait)->get();
    }

    /**
     * Take the lock as a reader if nobody has it by lock(), nor waits for it.
     *
     * @param string $name
     * @throws LockBusy|BadName|ConnectionLost as lock() does
     */
    public function tryRead(mixed $name): Lock
    {
        return $this->read($name, 0.0);
    }

    /**
     * Take the shared lock of that name, which has nothing to do with the exclusive one.
     *
     * @param string $name
     * @param int|null $limit how many may hold it; null: any number, and then it is granted at once
     * @param float $wait seconds to stand in line until fewer than $limit hold it; INF: for ever; 0: not at all
     * @throws LockBusy|WaitTimeout|Deadlock|BadName|ConnectionLost as lock() does
     */
    public function shared(mixed $name, mixed $limit = null, mixed $wait = INF): Lock
    {
        return $this->startShared($name, $limit, $wait)->get();
    }

    /**
     * Take the shared lock if fewer than $limit hold it.
     *
     * @param string $name
     * @param int $limit
     * @throws LockBusy|BadName|ConnectionLost as lock() does
     */
    public function tryShared(mixed $name, mixed $limit): Lock
    {
        return $this->shared($name, Argument::integer('limit', $limit), 0.0);
    }

    /**
     * Begin to wait for a lock; arguments as for lock().
     *
     * @param string $name
     * @param float $wait
     */
    public function startLock(mixed $name, mixed $wait = INF): Pending
    {
        $wait = Argument::seconds('wait', $wait);
        return $this->start('wait ' . self::seconds($wait) . ' ', 'r ', Argument::text('name', $name), $wait);
    }

    /**
     * Begin to wait for a lock as a reader; arguments as for read().
     *
     * @param string $name
     * @param float $wait
     */
    public function startRead(mixed $name, mixed $wait = INF): Pending
    {
        $wait = Argument::seconds('wait', $wait);
        return $this->start('read ' . self::seconds($wait) . ' ', 'r ', Argument::text('name', $name), $wait);
    }

    /**
     * Begin to wait for a shared lock; arguments as for shared().
     *
     * @param string $name
     * @param int|null $limit
     * @param float $wait
     */
    public function startShared(mixed $name, mixed $limit = null, mixed $wait = INF): Pending
    {
        $name = Argument::text('name', $name);
        $wait = Argument::seconds('wait', $wait);
        if ($limit === null) {
            return $this->start('sg ', 'sr ', $name, 0.0);
        }
        $limit = Argument::integer('limit', $limit);
        return $this->start('share ' . self::seconds($wait) . " $limit ", 'sr ', $name, $wait);
    }

    /**
     * Do something with the lock held, and release it whatever comes.
     *
     * @template T
     * @param string $name
     * @param callable(Lock): T $work
     * @param float $wait as for lock()
     * @return T what $work returns
     * @throws LockBusy|WaitTimeout|Deadlock|BadName|ConnectionLost as lock() does
     * @throws LockLost if the lock was lost meanwhile, so that others may have had it
     */
    public function synchronized(mixed $name, callable $work, mixed $wait = INF): mixed
    {
        $lock = $this->lock($name, $wait);
        try {
            $result = $work($lock);
        } catch (\Throwable $failure) {
            try {
                $lock->release();
            } catch (GlockException) {
                // What $work has thrown tells more.
            }
            throw $failure;
        }
        $lock->release();
        return $result;
    }

    /**
     * Give back a lock got by lock() or read(), by its name.
     *
     * @param string $name
     * @throws NotHeld if this client does not hold it
     * @throws ConnectionLost
     */
    public function release(mixed $name): void
    {
        $this->giveBack('r ', Argument::text('name', $name));
    }

    /**
     * Give back a shared lock, by its name.
     *
     * @param string $name
     * @throws NotHeld if this client does not hold it
     * @throws ConnectionLost
     */
    public function releaseShared(mixed $name): void
    {
        $this->giveBack('sr ', Argument::text('name', $name));
    }

    /**
     * The fencing token of this client's hold.
     *
     * @param string $name
     * @throws NotHeld
     */
    public function token(mixed $name): int
    {
        return (int) $this->ask('token ' . Argument::text('name', $name));
    }

    /**
     * Let the daemon take this client's lock back after so many seconds, unless it is told again by then; INF takes the
     * lease off.
     *
     * @param string $name
     * @param float $seconds
     * @throws NotHeld
     */
    public function lease(mixed $name, mixed $seconds): void
    {
        $command = 'lease ' . self::seconds(Argument::seconds('seconds', $seconds)) . ' ';
        $command .= Argument::text('name', $name);
        $this->notify();
        $this->ask($command);
    }

    /** @internal take in what the daemon has said */
    public function look(): void
    {
        $this->connection->look();
    }

    /**
     * @internal called by Pending with the reply to a request for a lock
     * @param string $release the command that releases it
     */
    public function granted(string $release, string $reply): ?Lock
    {
        $holders = (int) $reply;
        if ($holders < 1) {
            return null;
        }
        [$word, $name] = explode(' ', $release, 2);
        $lock = $this->holding($release) ?? new Lock($this, $name, $word === 'sr');
        $this->held[$release] = \WeakReference::create($lock);
        $lock->grantedTo($holders);
        return $lock;
    }

    /** @internal throw what a negative reply means, and also what is no answer at all: it must not be taken for a no */
    public static function refused(string $reply): void
    {
        if (preg_match(self::ANSWER, $reply)) {
            return;
        }
        foreach (self::REFUSALS as $prefix => $exception) {
            if (str_starts_with($reply, $prefix)) {
                throw new $exception($reply);
            }
        }
        throw new Refused($reply);
    }

    private function holding(string $release): ?Lock
    {
        $lock = isset($this->held[$release]) ? $this->held[$release]->get() : null;
        return $lock instanceof Lock ? $lock : null;
    }

    /** Have the daemon say when it takes something back. */
    private function notify(): void
    {
        if (!$this->notified) {
            $this->ask('notify on');
            $this->notified = true;
        }
    }

    private function start(string $words, string $release, string $name, float $wait): Pending
    {
        $reply = new Reply();
        $release .= self::normalise($name);
        $had = isset($this->held[$release]);
        $this->connection->send($words . $name, $reply);
        return new Pending($this, $this->connection, $reply, $release, $had, $wait, $this->timeout);
    }

    private function giveBack(string $word, string $name): void
    {
        $key = $word . self::normalise($name);
        $this->ask($word . $name, function () use ($key): void {
            $this->holding($key)?->end(new NotHeld('the lock was given back'));
            unset($this->held[$key]);
        });
    }

    private function ask(string $command, ?\Closure $then = null): string
    {
        $reply = new Reply();
        $reply->then = $then;
        $this->connection->send($command, $reply);
        $this->connection->fetch($reply);
        self::refused($reply->heard[0]);
        return $reply->heard[0];
    }

    /** As the daemon wants it: 0 or more, in plain digits. */
    private static function seconds(float $seconds): string
    {
        return $seconds === INF ? 'inf' : sprintf('%.6F', $seconds);
    }

    private static function interval(mixed $alive): float
    {
        $interval = Argument::seconds('alive', $alive);
        if ($interval < 0.001 || $interval === INF) {
            throw new \InvalidArgumentException("alive: $interval, want 0.001 or more seconds");
        }
        return $interval;
    }

    private static function configured(): string
    {
        $server = (string) getenv('GLOCK_SERVER');
        return trim($server, Address::BLANK) === '' ? self::DEFAULT_SERVER : $server;
    }

    /** What is sent of a secret, '' for nothing: white space around it, such as a file's line end, is no part of it. */
    private static function secret(#[\SensitiveParameter] string $given): string
    {
        $secret = self::normalise($given);
        if (strpbrk(trim($given, Address::BLANK), "\r\n") !== false) {
            throw new BadName('a secret cannot hold a line end');
        }
        return $secret;
    }

    /** What the daemon does with a name: runs of white space become one space, none stays at the ends. */
    private static function normalise(string $name): string
    {
        return trim((string) preg_replace(self::WHITE_SPACE, ' ', $name), ' ');
    }

    /**
     * Whether the line is "! lost NAME REASON" or "! item POOL ITEM REASON" rather than part of a listing; if so, act
     * on it.
     */
    private function pushed(string $line, bool $listing): bool
    {
        if (!preg_match('/^! (lost|item) (.*) (\S+)\z/s', $line, $match)) {
            return !$listing;
        }
        $key = ($match[1] === 'lost' ? 'r ' : 'item ') . $match[2];
        if (!isset($this->held[$key])) {
            return !$listing;
        }
        $this->held[$key]->get()?->end(new LockLost("the daemon took it back: $match[3]"));
        unset($this->held[$key]);
        return true;
    }

    private function ended(string $why): void
    {
        foreach ($this->held as $lock) {
            $lock->get()?->end(new LockLost($why));
        }
        $this->held = [];
    }
}
