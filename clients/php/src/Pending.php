<?php

declare(strict_types=1);

namespace Glock;

/**
 * A wait for a lock that has been started: the script may do something else, and fetch the lock later.
 *
 * The daemon serves a connection in order: a command of the same client comes after the wait.
 */
final class Pending
{
    private bool $cancelled = false;
    private bool $fetched = false;
    private ?Lock $lock = null;

    /** @internal started by Client::startLock(), startRead() and startShared() */
    public function __construct(
        private readonly Client $client,
        private readonly Connection $connection,
        private readonly Reply $reply,
        private readonly string $release,
        private readonly bool $had,
        private readonly float $wait,
        private readonly float $timeout
    ) {
        $reply->then = function (string $line): void {
            if (!$this->cancelled || $this->had) {
                $this->lock = $this->client->granted($this->release, $line);
            }
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
     * The lock, as soon as it is there.
     *
     * @throws LockBusy if it was not to be had at once
     * @throws WaitTimeout if it was not to be had in time
     * @throws Deadlock if waiting could never have ended
     * @throws Cancelled after cancel()
     * @throws ConnectionLost
     */
    public function get(): Lock
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
        if ($this->lock !== null) {
            return $this->lock;
        }
        $line = $this->reply->heard[0];
        if ($this->wait > 0 && str_contains($line, ' Get Failure: ')) {
            throw new WaitTimeout($line);
        }
        Client::refused($line);
        throw new Refused($line);
    }

    /**
     * Give the wait up. Nothing is left of it: if the lock was granted meanwhile, it is released. After get() it does
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
        if ($this->reply->complete) {
            if ($this->lock !== null && !$this->had) {
                $this->lock->release();
            }
            return;
        }
        // The daemon acts on cancel at once and on the rest in order, so that these leave the hold as it was before.
        if ($this->wait > 0) {
            $this->connection->send('cancel', $last = new Reply());
        }
        if (!$this->had) {
            $this->connection->send($this->release, $last = new Reply());
        }
        $this->connection->fetch($last ?? $this->reply);
    }
}
