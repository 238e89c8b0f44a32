<?php

declare(strict_types=1);

namespace Glock;

/** There is no connection to the daemon, or no longer; whatever was held on it is free. */
class ConnectionLost extends GlockException
{
}
