<?php

declare(strict_types=1);

namespace Glock;

/**
 * What a Client can do with windows: names for a stretch of time, agreed before, apart from those of locks.
 *
 * @internal
 */
trait Windows
{
    /**
     * Book a window.
     *
     * @param string $name
     * @param float $length seconds
     * @param float|\DateTimeInterface $start when it is to begin: so many seconds from now, or a moment
     * @param float $slip by how many seconds it may be later, if it is in somebody's way
     * @param bool $shared beside others that are shared
     * @throws LockBusy if there is no room, or if it lies further ahead than the daemon books
     * @throws BadName
     * @throws ConnectionLost
     */
    public function book(
        mixed $name,
        mixed $length,
        mixed $start = 0.0,
        mixed $slip = 0.0,
        mixed $shared = false,
    ): Booking {
        $name = self::window($name);
        $shared = Argument::flag('shared', $shared);
        $words = [
            $shared ? 'sbook' : 'book',
            self::beginning($start),
            self::seconds(Argument::seconds('length', $length)),
            self::seconds(Argument::seconds('slip', $slip)),
            $name,
        ];
        $reply = $this->ask(implode(' ', $words));
        if (!preg_match('/^([1-9]\d*) (?:Shared )?Booked (\S+Z) (\S+Z): /', $reply, $match)) {
            throw new Refused($reply);
        }
        [, $number, $begin, $end] = $match;
        $moments = [new \DateTimeImmutable($begin), new \DateTimeImmutable($end)];
        return new Booking((int) $number, $name, $moments[0], $moments[1], $shared);
    }

    /**
     * Give a window back that has not begun, or end it.
     *
     * @param Booking|int $booking it, or its number
     * @throws NotHeld if it is over, or was booked from another address
     * @throws ConnectionLost
     */
    public function unbook(mixed $booking): void
    {
        $number = $booking instanceof Booking ? $booking->number : Argument::integer('booking', $booking);
        $this->ask("unbook $number");
    }

    /**
     * The windows of a name that are on or to come, by their beginning; '' lists those of all names.
     *
     * @param string $name
     * @return array<mixed>
     * @throws BadName
     * @throws ConnectionLost
     */
    public function bookings(mixed $name = ''): array
    {
        return self::json($this->ask(trim('bookings ' . ($name === '' ? '' : self::window($name)))));
    }

    private static function beginning(mixed $start): string
    {
        if (!$start instanceof \DateTimeInterface) {
            $seconds = Argument::seconds('start', $start);
            return $seconds > 0 ? '+' . self::seconds($seconds) : 'now';
        }
        // The daemon takes whole seconds; none begins before it was wanted.
        $moment = $start->getTimestamp() + ((int) $start->format('u') > 0 ? 1 : 0);
        return gmdate('Y-m-d\TH:i:s\Z', $moment);
    }

    private static function window(mixed $name): string
    {
        $name = self::sendable(Argument::text('name', $name));
        return $name !== '' ? $name : throw new BadName('a window has a name');
    }
}
