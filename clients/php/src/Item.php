<?php

declare(strict_types=1);

namespace Glock;

/** An item of a work list that is this client's, until done(), fail() or give(), or until it is lost. */
final class Item
{
    private ?NotHeld $ended = null;

    /** @internal made by Client */
    public function __construct(
        private readonly Client $client,
        /** The list that it is of. */
        public readonly string $pool,
        /** The item as the daemon understood it: single spaces, none at the ends. */
        public readonly string $name,
        /** How often it has been taken, this time included. */
        public readonly int $attempt
    ) {
    }

    /**
     * It is finished, and gone.
     *
     * @throws LockLost if it was lost before: it is or will be somebody else's
     * @throws NotHeld if its end was told already
     * @throws Refused if the daemon cannot record it; it is held as before
     * @throws ConnectionLost
     */
    public function done(): void
    {
        $this->finish('done');
    }

    /**
     * It is given up: gone, and counted as failed.
     *
     * @throws NotHeld|Refused|ConnectionLost as done() does
     */
    public function fail(): void
    {
        $this->finish('fail');
    }

    /**
     * It goes back, behind those tried less.
     *
     * @throws NotHeld|Refused|ConnectionLost as done() does
     */
    public function give(): void
    {
        $this->finish('give');
    }

    /**
     * Let the daemon take it back after so many seconds, unless it is told again by then; INF ends that.
     *
     * @param float $seconds
     * @throws NotHeld
     * @throws ConnectionLost
     */
    public function keep(mixed $seconds): void
    {
        $this->assertHeld();
        $this->client->keep($this->pool, $this->name, $seconds);
    }

    /** Whether it is held, by all that the daemon has said until now. */
    public function isHeld(): bool
    {
        $this->client->look();
        return $this->ended === null;
    }

    /** Whether it was taken away without done(), fail() or give(), by all that the daemon has said until now. */
    public function isLost(): bool
    {
        $this->client->look();
        return $this->ended instanceof LockLost;
    }

    /**
     * Go on only while the item is held, by all that the daemon has said until now.
     *
     * @throws LockLost if its time was over or its connection ended
     * @throws NotHeld if its end was told
     */
    public function assertHeld(): void
    {
        $this->client->look();
        if ($this->ended !== null) {
            throw $this->ended;
        }
    }

    /** @internal called by Client */
    public function end(NotHeld $why): void
    {
        $this->ended = $why;
    }

    private function finish(string $verb): void
    {
        $this->assertHeld();
        try {
            $this->client->{$verb}($this->pool, $this->name);
        } catch (NotHeld $late) {
            // Its time was over while the word was on its way.
            throw $late instanceof LockLost ? $late : new LockLost($late->getMessage());
        }
    }
}
