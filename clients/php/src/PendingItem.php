<?php

declare(strict_types=1);

namespace Glock;

/**
 * A wait for an item that has been started: the script may do something else, and fetch the item later.
 *
 * The daemon serves a connection in order: a command of the same client comes after the wait.
 */
final class PendingItem
{
    private bool $cancelled = false;
    private bool $fetched = false;
    private ?Item $item = null;

    /** @internal started by Client::startTake() */
    public function __construct(
        private readonly Client $client,
        private readonly Connection $connection,
        private readonly Reply $reply,
        private readonly string $pool,
        private readonly float $wait,
        private readonly float $timeout
    ) {
        $reply->then = function (string $line): void {
            $this->item = $this->client->taken($this->pool, $line);
        };
    }

    /**
     * Whether the wait is over, so that get() will not block.
     *
     * @param float $seconds how long to wait for that at most
     */
    public function ready(mixed $seconds = 0.0): bool
    {
        return $this->connection->fetch($this->reply, Argument::seconds('seconds', $seconds));
    }

    /**
     * The item, as soon as it is there.
     *
     * @throws LockBusy if none was to be had at once
     * @throws WaitTimeout if none was to be had in time
     * @throws Cancelled after cancel()
     * @throws ConnectionLost
     */
    public function get(): Item
    {
        if ($this->cancelled) {
            throw new Cancelled('the wait was given up');
        }
        try {
            if (!$this->connection->fetch($this->reply, $this->wait + $this->timeout)) {
                $this->client->close(); // what comes later could no longer be told apart
                throw new ConnectionLost('no reply in time');
            }
        } catch (ConnectionLost $lost) {
            throw $lost;
        } catch (\Throwable $interruption) { // thrown by a signal handler
            $this->cancel();
            throw $interruption;
        }
        $this->fetched = true;
        if ($this->item !== null) {
            return $this->item;
        }
        $line = $this->reply->heard[0];
        if ($this->wait > 0 && str_contains($line, ' Take Failure: ')) {
            throw new WaitTimeout($line);
        }
        Client::refused($line);
        throw new Refused($line);
    }

    /**
     * Give the wait up. Nothing is left of it: if an item was taken meanwhile, it is given back. After get() it does
     * nothing.
     *
     * @throws ConnectionLost
     */
    public function cancel(): void
    {
        if ($this->cancelled || $this->fetched) {
            return;
        }
        $this->cancelled = true;
        if (!$this->reply->complete) {
            $last = $this->reply;
            if ($this->wait > 0) {
                $this->connection->send('cancel', $last = new Reply());
            }
            $this->connection->fetch($last);
        }
        $this->item?->give();
    }
}
