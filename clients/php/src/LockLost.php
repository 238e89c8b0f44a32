<?php

declare(strict_types=1);

namespace Glock;

/** The hold ended without being released: its lease ran out, or its connection ended. */
class LockLost extends NotHeld
{
}
