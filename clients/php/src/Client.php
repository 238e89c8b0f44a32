<?php

declare(strict_types=1);

namespace Glock;

/**
 * A connection to glockd: one holder, who holds any number of locks until it releases them or the connection ends,
 * which it does with the script at the latest.
 */
final class Client
{
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
        '0 Not Authorised' => NotAuthorised::class,
    ];

    /** What is a plain answer to a question: a number from 1 on, or one of these. */
    private const ANSWER = '/^(?:[1-9]\d*(?: |$)|0 Lock Not Locked: |0 Shared Lock Not Locked: '
        . '|0 Lock Token Stale: |0 \[\])/';

    /** Unicode's white space in UTF-8, which the daemon takes for a space in names. */
    private const WHITE_SPACE = '/(?:[\t-\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]'
        . '|\xe2\x81\x9f|\xe3\x80\x80)+/';

    private readonly Connection $connection;
    /** @var array<string, \WeakReference<Lock>> what is held, by the command that releases it */
    private array $held = [];
    private bool $notified = false;
    private readonly string $nonce;

    /**
     * Connect.
     *
     * @param string|null $server tcp://host:port, unix:///path, or tls://host:port with ?ca=FILE (the authorities to
     *     trust instead of the system's), cert=FILE and key=FILE (this client's own certificate), host=NAME (whom the
     *     daemon's is for); null: GLOCK_SERVER, else DEFAULT_SERVER
     * @param float $timeout seconds that the daemon has for accepting, and for each reply that need not be waited for;
     *     afterwards the connection is lost
     * @param string|null $secret for a daemon that wants one
     * @throws ConnectionLost if there is no daemon, or not one to trust
     * @throws NotAuthorised if it wants another secret
     * @throws \InvalidArgumentException if $server is none of these
     */
    public function __construct(
        ?string $server = null,
        private readonly float $timeout = 10.0,
        #[\SensitiveParameter] ?string $secret = null
    ) {
        $this->nonce = bin2hex(random_bytes(16));
        // No reference from the connection back to the client, so that it is closed as soon as nobody has the client.
        $self = \WeakReference::create($this);
        $this->connection = new Connection(
            $server ?? (getenv('GLOCK_SERVER') ?: self::DEFAULT_SERVER),
            $timeout,
            static fn (string $line, bool $listing): bool => $self->get()?->pushed($line, $listing) ?? true,
            static fn (string $why) => $self->get()?->ended($why)
        );
        if ($secret !== null) {
            $this->ask('auth ' . $secret);
        }
    }

    public function __destruct()
    {
        if (isset($this->connection)) {
            $this->connection->close();
        }
    }

    /** Hang up. What is held is lost, and free for others. */
    public function close(): void
    {
        $this->connection->close();
    }

    /**
     * Take the exclusive lock of that name. A client that holds it already is granted it again, and releases it once.
     *
     * @param float|null $wait seconds to stand in line for it, first come, first served; INF: for ever; null: not at
     *     all, which also the oldest daemon understands
     * @throws LockBusy if it was not to be had at once
     * @throws WaitTimeout if it was not to be had in time
     * @throws Deadlock if waiting could never have ended
     * @throws BadName
     * @throws ConnectionLost
     */
    public function lock(string $name, ?float $wait = null): Lock
    {
        return $this->startLock($name, $wait)->get();
    }

    /**
     * Take the lock together with other readers, while nobody has it by lock().
     *
     * @param float $wait seconds to stand in line for it; INF: for ever; 0: not at all
     * @throws LockBusy|WaitTimeout|Deadlock|BadName|ConnectionLost as lock() does
     */
    public function read(string $name, float $wait = 0.0): Lock
    {
        return $this->startRead($name, $wait)->get();
    }

    /**
     * Take the shared lock of that name, which has nothing to do with the exclusive one.
     *
     * @param int|null $limit how many may hold it; null: any number, and then it is granted at once
     * @param float $wait seconds to stand in line until fewer than $limit hold it; INF: for ever; 0: not at all
     * @throws LockBusy|WaitTimeout|Deadlock|BadName|ConnectionLost as lock() does
     */
    public function shared(string $name, ?int $limit = null, float $wait = 0.0): Lock
    {
        return $this->startShared($name, $limit, $wait)->get();
    }

    /** Begin to wait for a lock; arguments as for lock(). */
    public function startLock(string $name, ?float $wait = null): Pending
    {
        return $this->start($wait === null ? 'g ' : 'wait ' . self::seconds($wait) . ' ', 'r ', $name, $wait ?? 0.0);
    }

    /** Begin to wait for a lock as a reader; arguments as for read(). */
    public function startRead(string $name, float $wait = 0.0): Pending
    {
        return $this->start('read ' . self::seconds($wait) . ' ', 'r ', $name, $wait);
    }

    /** Begin to wait for a shared lock; arguments as for shared(). */
    public function startShared(string $name, ?int $limit = null, float $wait = 0.0): Pending
    {
        $words = $limit === null ? 'sg ' : 'share ' . self::seconds($wait) . " $limit ";
        return $this->start($words, 'sr ', $name, $limit === null ? 0.0 : $wait);
    }

    /**
     * Do something with the lock held, and release it whatever comes.
     *
     * @template T
     * @param callable(Lock): T $work
     * @param float|null $wait as for lock()
     * @return T what $work returns
     * @throws LockBusy|WaitTimeout|Deadlock|BadName|ConnectionLost as lock() does
     * @throws LockLost if the lock was lost meanwhile, so that others may have had it
     */
    public function synchronized(string $name, callable $work, ?float $wait = INF): mixed
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
     * @throws NotHeld if this client does not hold it
     * @throws ConnectionLost
     */
    public function release(string $name): void
    {
        $this->giveBack('r ', $name);
    }

    /**
     * Give back a shared lock, by its name.
     *
     * @throws NotHeld if this client does not hold it
     * @throws ConnectionLost
     */
    public function releaseShared(string $name): void
    {
        $this->giveBack('sr ', $name);
    }

    /** Whether anybody holds the lock, reader or not. */
    public function isLocked(string $name): bool
    {
        return (int) $this->ask('i ' . $name) > 0;
    }

    /** How many hold the shared lock. */
    public function countShared(string $name): int
    {
        return (int) $this->ask('si ' . $name);
    }

    /**
     * The fencing token of this client's hold.
     *
     * @throws NotHeld
     */
    public function token(string $name): int
    {
        return (int) $this->ask('token ' . $name);
    }

    /** Whether a token is the one now in force, for whoever guards the resource itself. */
    public function check(string $name, int $token): bool
    {
        return (int) $this->ask("check $token $name") === 1;
    }

    /**
     * Let the daemon take this client's lock back after so many seconds, unless it is told again by then; INF takes the
     * lease off.
     *
     * @throws NotHeld
     */
    public function lease(string $name, float $seconds): void
    {
        if (!$this->notified) {
            $this->ask('notify on');
            $this->notified = true;
        }
        $this->ask('lease ' . self::seconds($seconds) . ' ' . $name);
    }

    /**
     * Who holds the lock: chosen names, or addresses of those who chose none.
     *
     * @return list<string>
     */
    public function holders(string $name): array
    {
        return $this->listing('d ', $name);
    }

    /**
     * Who holds the shared lock, in the order in which they got it.
     *
     * @return list<string>
     */
    public function holdersShared(string $name): array
    {
        return $this->listing('sd ', $name);
    }

    /** Choose a name for this client in listings; '' takes it back. It gives no rights and need not be unique. */
    public function iam(string $name = ''): void
    {
        $this->ask('iam ' . $name);
    }

    /**
     * The address by which the daemon knows this client, and the name it chose, or the address again.
     *
     * @return array{address: string, name: string}
     */
    public function me(): array
    {
        [, $address, $name] = explode(' ', $this->ask('me'), 3);
        return ['address' => $address, 'name' => $name];
    }

    /**
     * The clients that chose a name, or just that name: address => name.
     *
     * @return array<string, string>
     */
    public function who(string $name = ''): array
    {
        return self::pairs($this->lines('who ' . $name));
    }

    /**
     * The daemon's counters.
     *
     * @return array<string, int>
     */
    public function stats(): array
    {
        // They are sorted, and this is the last one in every version of the daemon.
        $this->connection->send('q', $reply = new Reply(end: 'shared_orphans: '));
        $this->connection->fetch($reply);
        return array_map('intval', self::pairs($reply->heard));
    }

    /**
     * Who holds the lock and who waits for it, and since when, among exclusive and shared locks.
     *
     * @return array<string, mixed>
     */
    public function explain(string $name): array
    {
        return self::json($this->ask('explain ' . $name));
    }

    /**
     * The latest events of the lock, oldest first, or of all locks.
     *
     * @return list<array<string, mixed>>
     */
    public function history(string $name = ''): array
    {
        return self::json($this->ask('history ' . $name));
    }

    /** Return if the daemon is alive. */
    public function ping(): void
    {
        $this->ask('ping');
    }

    /** The daemon's version, such as "glockd 1.0.0". */
    public function version(): string
    {
        return explode(' ', $this->ask('version'), 2)[1];
    }

    /** Seconds within which the daemon finds out that a peer has vanished without a word. */
    public function bound(): int
    {
        return (int) $this->ask('bound');
    }

    /**
     * Send one line and return so many lines of reply, without line ends. An invalid command has none. Locks taken this
     * way are held, but no Lock stands for them.
     *
     * @return list<string>
     */
    public function raw(string $line, int $lines = 1): array
    {
        $this->connection->send($line, $reply = new Reply($lines));
        if ($lines > 0) {
            $this->connection->fetch($reply);
        }
        return $reply->heard;
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
        return isset($this->held[$release]) ? $this->held[$release]->get() : null;
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

    /** @return list<string> */
    private function listing(string $word, string $name): array
    {
        $prefix = self::normalise($name) . ': ';
        if ($prefix === ': ') {
            throw new BadName('the lock of no name cannot be listed');
        }
        return array_map(
            static fn (string $line): string => substr($line, strlen($prefix)),
            $this->lines($word . $name)
        );
    }

    /**
     * The reply to a command whose reply has any number of lines and no end. A question about a lock that nobody can
     * know of is sent behind it; the answer marks the end.
     *
     * @return list<string>
     */
    private function lines(string $command): array
    {
        $this->connection->send($command, $reply = new Reply(end: '0 Lock Not Locked: ' . $this->nonce));
        $this->connection->send('i ' . $this->nonce, new Reply(0));
        $this->connection->fetch($reply);
        $lines = array_slice($reply->heard, 0, -1);
        if ($lines === ['0 disabled']) { // no line of a listing: those have a colon
            self::refused($lines[0]);
        }
        return $lines;
    }

    /**
     * @param list<string> $lines
     * @return array<string, string>
     */
    private static function pairs(array $lines): array
    {
        $pairs = [];
        foreach ($lines as $line) {
            [$key, $value] = explode(': ', $line, 2);
            $pairs[$key] = $value;
        }
        return $pairs;
    }

    /** @return array<mixed> */
    private static function json(string $reply): array
    {
        return json_decode(explode(' ', $reply, 2)[1], true, 512, JSON_THROW_ON_ERROR);
    }

    private static function seconds(float $seconds): string
    {
        if (is_nan($seconds) || $seconds < 0) {
            throw new \InvalidArgumentException("seconds: $seconds, want 0 or more, or INF");
        }
        return $seconds === INF ? 'inf' : sprintf('%.6F', $seconds);
    }

    /** What the daemon does with a name: runs of white space become one space, none stays at the ends. */
    private static function normalise(string $name): string
    {
        return trim((string) preg_replace(self::WHITE_SPACE, ' ', $name), ' ');
    }

    /** Whether the line is "! lost NAME REASON" rather than part of a listing; if so, act on it. */
    private function pushed(string $line, bool $listing): bool
    {
        if (!preg_match('/^! lost (.*) (\S+)\z/s', $line, $match) || !isset($this->held['r ' . $match[1]])) {
            return !$listing;
        }
        $this->holding('r ' . $match[1])?->end(new LockLost("the daemon took the lock back: $match[2]"));
        unset($this->held['r ' . $match[1]]);
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
