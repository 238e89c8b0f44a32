<?php

declare(strict_types=1);

require __DIR__ . '/../src/autoload.php'; // or Composer's

$client = new Glock\Client(); // the daemon that GLOCK_SERVER names

// Wait in line for up to ten seconds, work, and release the lock whatever comes.
$answer = $client->synchronized('nightly backup', function (Glock\Lock $lock): string {
    return 'holding ' . $lock->name . ' with a token: ' . var_export($lock->token() > 0, true);
}, wait: 10.0);
echo $answer, "\n";

// Or by hand.
try {
    $lock = $client->tryLock('cron job'); // does not wait
    $lock->assertHeld();                  // between two steps of the work: is it still mine?
    $lock->release();
    echo "done\n";
} catch (Glock\LockBusy) {
    echo "somebody else does it\n";
}
