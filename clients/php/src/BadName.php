<?php

declare(strict_types=1);

namespace Glock;

/** The name cannot be sent: it holds a line feed, or the command would be longer than 4095 bytes. */
class BadName extends GlockException
{
}
