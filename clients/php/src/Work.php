<?php

declare(strict_types=1);

namespace Glock;

/**
 * What a Client can do with work lists: items of which it takes any that is free, and keeps it as long as it lives.
 *
 * @internal
 */
trait Work
{
    /**
     * Offer an item to whoever takes one.
     *
     * @param string $pool the list: one word
     * @param string $item
     * @return bool false if it is there already, free or taken, or if there is no room
     * @throws BadName
     * @throws ConnectionLost
     */
    public function put(mixed $pool, mixed $item): bool
    {
        return (int) $this->ask('put ' . self::pool($pool) . ' ' . self::item($item)) === 1;
    }

    /**
     * Take any item of a list, those tried least first, then the oldest; also of one that is still empty.
     *
     * @param string $pool
     * @param float $wait seconds to stand in line for one, first come, first served; INF: for ever; 0: not at all
     * @throws LockBusy if none was to be had at once
     * @throws WaitTimeout if none was to be had in time
     * @throws BadName
     * @throws ConnectionLost
     */
    public function take(mixed $pool, mixed $wait = INF): Item
    {
        return $this->startTake($pool, $wait)->get();
    }

    /**
     * Take an item if one is free.
     *
     * @param string $pool
     * @throws LockBusy|BadName|ConnectionLost as take() does
     */
    public function tryTake(mixed $pool): Item
    {
        return $this->take($pool, 0.0);
    }

    /**
     * Begin to wait for an item; arguments as for take().
     *
     * @param string $pool
     * @param float $wait
     */
    public function startTake(mixed $pool, mixed $wait = INF): PendingItem
    {
        $pool = self::pool($pool);
        $wait = Argument::seconds('wait', $wait);
        $reply = new Reply();
        $this->connection->send('take ' . self::seconds($wait) . ' ' . $pool, $reply);
        return new PendingItem($this, $this->connection, $reply, $pool, $wait, $this->timeout);
    }

    /**
     * Do something with an item, and say that it is done; if $work throws, it is given back. $work may tell its end
     * itself.
     *
     * @template T
     * @param string $pool
     * @param callable(Item): T $work
     * @param float $wait as for take()
     * @return T what $work returns
     * @throws LockBusy|WaitTimeout|BadName|ConnectionLost as take() does
     * @throws LockLost if the item was lost meanwhile, so that somebody else may have it
     */
    public function work(mixed $pool, callable $work, mixed $wait = INF): mixed
    {
        $item = $this->take($pool, $wait);
        try {
            $result = $work($item);
        } catch (\Throwable $failure) {
            try {
                if ($item->isHeld()) {
                    $item->give();
                }
            } catch (GlockException) {
                // What $work has thrown tells more.
            }
            throw $failure;
        }
        if ($item->isHeld() || $item->isLost()) {
            $item->done();
        }
        return $result;
    }

    /**
     * Say of an item of this client's that it is finished, and gone.
     *
     * @param string $pool
     * @param string $item
     * @throws NotHeld if it is not this client's
     * @throws ConnectionLost
     */
    public function done(mixed $pool, mixed $item): void
    {
        $this->finish('done', $pool, $item);
    }

    /**
     * Give an item of this client's up: it is gone, and counted as failed.
     *
     * @param string $pool
     * @param string $item
     * @throws NotHeld|ConnectionLost as done() does
     */
    public function fail(mixed $pool, mixed $item): void
    {
        $this->finish('fail', $pool, $item);
    }

    /**
     * Put an item of this client's back, behind those tried less.
     *
     * @param string $pool
     * @param string $item
     * @throws NotHeld|ConnectionLost as done() does
     */
    public function give(mixed $pool, mixed $item): void
    {
        $this->finish('give', $pool, $item);
    }

    /**
     * Let the daemon take an item of this client's back after so many seconds, unless it is told again by then; INF
     * ends that.
     *
     * @param string $pool
     * @param string $item
     * @param float $seconds
     * @throws NotHeld|ConnectionLost as done() does
     */
    public function keep(mixed $pool, mixed $item, mixed $seconds): void
    {
        $command = 'keep ' . self::seconds(Argument::seconds('seconds', $seconds)) . ' ';
        $command .= self::pool($pool) . ' ' . self::item($item);
        $this->notify();
        $this->ask($command);
    }

    /**
     * How many items of a list are free, held, waited for, done, failed and orphaned; '' tells that of every list.
     *
     * @param string $pool
     * @return array<mixed>
     */
    public function pools(mixed $pool = ''): array
    {
        return self::json($this->ask(trim('pool ' . ($pool === '' ? '' : self::pool($pool)))));
    }

    /** @internal called by PendingItem with the reply to a request for an item */
    public function taken(string $pool, string $reply): ?Item
    {
        if (!preg_match('/^([1-9]\d*) Item Take Success: (.*)\z/s', $reply, $match)) {
            return null;
        }
        $item = new Item($this, $pool, $match[2], (int) $match[1]);
        $this->held["item $pool $match[2]"] = \WeakReference::create($item);
        return $item;
    }

    private function finish(string $verb, mixed $pool, mixed $item): void
    {
        $name = self::pool($pool) . ' ' . self::item($item);
        $this->ask("$verb $name", function (string $reply) use ($name): void {
            if (!str_starts_with($reply, '0 Not Recorded')) {
                ($this->held["item $name"] ?? null)?->get()?->end(new NotHeld('its end was told'));
                unset($this->held["item $name"]);
            }
        });
    }

    /** A list's name as the daemon knows it: one word. */
    private static function pool(mixed $pool): string
    {
        $name = self::sendable(Argument::text('pool', $pool));
        if ($name === '' || str_contains($name, ' ')) {
            throw new BadName("a list's name is one word");
        }
        return $name;
    }

    private static function item(mixed $item): string
    {
        $name = self::sendable(Argument::text('item', $item));
        return $name !== '' ? $name : throw new BadName('an item is not empty');
    }

    private static function sendable(string $name): string
    {
        if (str_contains($name, "\n")) {
            throw new BadName('a name must not hold a line feed');
        }
        return self::normalise($name);
    }
}
