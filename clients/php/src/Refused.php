<?php

declare(strict_types=1);

namespace Glock;

/** The daemon answered no for another reason, which the message tells. */
class Refused extends GlockException
{
}
