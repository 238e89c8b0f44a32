<?php

declare(strict_types=1);

namespace Glock;

/** The daemon wants a secret, or another one. */
class NotAuthorised extends Refused
{
}
