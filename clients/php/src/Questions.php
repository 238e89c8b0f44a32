<?php

declare(strict_types=1);

namespace Glock;

/**
 * What a Client can ask the daemon, and what it can tell of itself. None of it takes or ends a hold.
 *
 * @internal
 */
trait Questions
{
    /**
     * Whether anybody holds the lock, reader or not.
     *
     * @param string $name
     */
    public function isLocked(mixed $name): bool
    {
        return (int) $this->ask('i ' . Argument::text('name', $name)) > 0;
    }

    /**
     * How many hold the shared lock.
     *
     * @param string $name
     */
    public function countShared(mixed $name): int
    {
        return (int) $this->ask('si ' . Argument::text('name', $name));
    }

    /**
     * Whether a token is the one now in force, for whoever guards the resource itself.
     *
     * @param string $name
     * @param int $token
     */
    public function check(mixed $name, mixed $token): bool
    {
        $token = Argument::integer('token', $token);
        return (int) $this->ask("check $token " . Argument::text('name', $name)) === 1;
    }

    /**
     * Who holds the lock: chosen names, or addresses of those who chose none.
     *
     * @param string $name
     * @return list<string>
     */
    public function holders(mixed $name): array
    {
        return $this->listing('d ', Argument::text('name', $name));
    }

    /**
     * Who holds the shared lock, in the order in which they got it.
     *
     * @param string $name
     * @return list<string>
     */
    public function holdersShared(mixed $name): array
    {
        return $this->listing('sd ', Argument::text('name', $name));
    }

    /**
     * Choose a name for this client in listings; '' takes it back. It gives no rights and need not be unique.
     *
     * @param string $name
     */
    public function iam(mixed $name = ''): void
    {
        $this->ask('iam ' . Argument::text('name', $name));
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
     * @param string $name
     * @return array<string, string>
     */
    public function who(mixed $name = ''): array
    {
        return self::pairs($this->lines('who ' . Argument::text('name', $name)));
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
     * @param string $name
     * @return array<string, mixed>
     */
    public function explain(mixed $name): array
    {
        return self::json($this->ask('explain ' . Argument::text('name', $name)));
    }

    /**
     * The latest events of the lock, oldest first, or of all locks.
     *
     * @param string $name
     * @return list<array<string, mixed>>
     */
    public function history(mixed $name = ''): array
    {
        return self::json($this->ask('history ' . Argument::text('name', $name)));
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
     * @param string $line
     * @param int $lines
     * @return list<string>
     */
    public function raw(mixed $line, mixed $lines = 1): array
    {
        $line = Argument::text('line', $line);
        $lines = Argument::integer('lines', $lines);
        if ($lines < 0) {
            throw new \InvalidArgumentException("lines: $lines, want 0 or more");
        }
        $this->connection->send($line, $reply = new Reply($lines));
        if ($lines > 0) {
            $this->connection->fetch($reply);
        }
        return $reply->heard;
    }

    /** Send a command and give its one line of reply, or throw what that means. */
    abstract private function ask(string $command, ?\Closure $then = null): string;

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
}
