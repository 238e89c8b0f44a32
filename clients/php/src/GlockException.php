<?php

declare(strict_types=1);

namespace Glock;

/** What every exception of this library is. */
class GlockException extends \RuntimeException
{
}
