<?php

declare(strict_types=1);

namespace Glock;

/** A window that is booked. It outlives who has booked it, and a restart of the daemon. */
final class Booking
{
    /** @internal made by Client */
    public function __construct(
        /** Never used again. */
        public readonly int $number,
        public readonly string $name,
        public readonly \DateTimeImmutable $begin,
        public readonly \DateTimeImmutable $end,
        /** Beside others that are shared. */
        public readonly bool $shared,
    ) {
    }
}
