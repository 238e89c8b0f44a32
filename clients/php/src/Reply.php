<?php

declare(strict_types=1);

namespace Glock;

/**
 * What the daemon answers to a command, or will.
 *
 * @internal
 */
final class Reply
{
    /** @var list<string> the lines heard so far, without line ends */
    public array $heard = [];
    public bool $complete = false;
    public ?ConnectionLost $failure = null;
    /** @var (\Closure(string): void)|null is told the reply's only line as it comes */
    public ?\Closure $then = null;

    /**
     * @param int $lines how many it has
     * @param string|null $end how the last line begins, if their number is not known
     */
    public function __construct(public readonly int $lines = 1, public readonly ?string $end = null)
    {
    }

    /** Take the next line; tells whether it was the last. */
    public function hear(string $line): bool
    {
        $this->heard[] = $line;
        $this->complete = $this->end === null
            ? count($this->heard) === $this->lines
            : str_starts_with($line, $this->end);
        if ($this->complete && $this->then !== null) {
            // Forgotten at once: it refers to the client, which must go when nobody needs it.
            [$then, $this->then] = [$this->then, null];
            $then($line);
        }
        return $this->complete;
    }
}
