<?php

declare(strict_types=1);

namespace Glock;

/** Somebody else holds the lock, or a limited shared lock is full. */
class LockBusy extends GlockException
{
}
