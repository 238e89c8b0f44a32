<?php

declare(strict_types=1);

namespace Glock;

/** The lock was not to be had within the time given. */
class WaitTimeout extends LockBusy
{
}
