<?php

declare(strict_types=1);

namespace Glock;

/** The wait was given up with Pending::cancel(). */
class Cancelled extends GlockException
{
}
