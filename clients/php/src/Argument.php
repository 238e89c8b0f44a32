<?php

declare(strict_types=1);

namespace Glock;

/**
 * What arguments have to be. PHP turns numbers into text and text into numbers where the calling file is not strict; a
 * name would then be another one than in the other languages' clients.
 *
 * @internal
 */
final class Argument
{
    /** @throws \TypeError if it is no string */
    public static function text(string $what, mixed $value): string
    {
        return is_string($value) ? $value : throw self::wrong($what, 'a string', $value);
    }

    /** @throws \TypeError if it is no integer */
    public static function integer(string $what, mixed $value): int
    {
        return is_int($value) ? $value : throw self::wrong($what, 'an integer', $value);
    }

    /**
     * @return float 0 or more; INF
     * @throws \TypeError if it is no number
     * @throws \InvalidArgumentException if it is less than 0, or NAN
     */
    public static function seconds(string $what, mixed $value): float
    {
        if (!is_int($value) && !is_float($value)) {
            throw self::wrong($what, 'a number of seconds, or INF', $value);
        }
        if (is_nan((float) $value) || $value < 0) {
            throw new \InvalidArgumentException("$what: $value, want 0 or more seconds, or INF");
        }
        return (float) $value;
    }

    /** @throws \TypeError if it is no bool */
    public static function flag(string $what, mixed $value): bool
    {
        return is_bool($value) ? $value : throw self::wrong($what, 'true or false', $value);
    }

    private static function wrong(string $what, string $wanted, mixed $value): \TypeError
    {
        return new \TypeError("$what: want $wanted, got " . get_debug_type($value));
    }
}
