<?php

declare(strict_types=1);

namespace Glock;

/** Waiting could never have ended, since those in the way wait for this connection. */
class Deadlock extends GlockException
{
}
