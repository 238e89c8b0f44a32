<?php

declare(strict_types=1);

namespace Glock;

/** A hold of a lock, exclusive, as a reader, or shared. It lasts until release(), or until it is lost. */
final class Lock
{
    private int $holders = 1;
    private ?int $token = null;
    private ?NotHeld $ended = null;

    /** @internal made by Client */
    public function __construct(
        private readonly Client $client,
        /** The lock's name as the daemon understood it: single spaces, none at the ends. */
        public readonly string $name,
        /** Whether it is the shared lock of that name. */
        public readonly bool $shared
    ) {
    }

    /** How many held the lock when it was granted, this client included: 1 unless it is read or shared. */
    public function holders(): int
    {
        return $this->holders;
    }

    /**
     * Give the lock back.
     *
     * @throws LockLost if it was lost before
     * @throws NotHeld if it was given back already
     */
    public function release(): void
    {
        $this->assertHeld();
        try {
            $this->shared ? $this->client->releaseShared($this->name) : $this->client->release($this->name);
        } catch (ConnectionLost | NotHeld $lost) { // also while the release was on its way
            throw new LockLost($lost->getMessage(), 0, $lost);
        }
    }

    /** Whether the hold has ended without release(), by all that the daemon has said until now. */
    public function isLost(): bool
    {
        $this->client->look();
        return $this->ended instanceof LockLost;
    }

    /**
     * Go on only while the lock is held, by all that the daemon has said until now.
     *
     * @throws LockLost if its lease ran out or its connection ended
     * @throws NotHeld if it was given back
     */
    public function assertHeld(): void
    {
        $this->client->look();
        if ($this->ended !== null) {
            throw $this->ended;
        }
    }

    /**
     * The fencing token: larger than that of every earlier grant of any exclusive lock. Hand it to whatever the lock
     * protects, so that it can turn away a late comer with a smaller one.
     *
     * @throws NotHeld
     * @throws Refused for a shared lock, which has none
     * @throws ConnectionLost
     */
    public function token(): int
    {
        $this->assertExclusive('token');
        return $this->token ??= $this->client->token($this->name);
    }

    /**
     * Let the daemon take the lock back after so many seconds, unless it is told again by then; INF takes the lease
     * off.
     *
     * @param float $seconds
     * @throws NotHeld
     * @throws Refused for a shared lock, which has none
     * @throws ConnectionLost
     */
    public function lease(mixed $seconds): void
    {
        $this->assertExclusive('lease');
        $this->client->lease($this->name, $seconds);
    }

    /** The daemon would take a shared lock for the exclusive one of that name. */
    private function assertExclusive(string $what): void
    {
        if ($this->shared) {
            throw new Refused("a shared lock has no $what");
        }
        $this->assertHeld();
    }

    /** @internal called by Client */
    public function grantedTo(int $holders): void
    {
        $this->holders = $holders;
    }

    /** @internal called by Client */
    public function end(NotHeld $why): void
    {
        $this->ended = $why;
    }
}
