<?php

declare(strict_types=1);

namespace Glock;

/** This connection does not hold the lock. */
class NotHeld extends GlockException
{
}
