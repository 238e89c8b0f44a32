<?php

/**
 * Holds locks while children that were forked come out of where they were, and tells what becomes of them:
 * php fork.php SERVER HOW, where HOW is how the children end, exit or kill.
 */

declare(strict_types=1);

use Glock\Client;

require __DIR__ . '/../src/autoload.php';

[, $server, $how] = $argv;
$me = getmypid();
$end = static function () use ($how): never {
    // PHP says goodbye on a TLS connection when a process ends, whosever it is. One that is killed says nothing.
    $how === 'kill' ? posix_kill(posix_getpid(), SIGKILL) : exit(0);
};
$other = new Client($server);
$client = new Client($server);
try {
    $client->synchronized('job', static function () use ($server): void {
        if (pcntl_fork() === 0) {
            return; // the child is done
        }
        pcntl_wait($status);
        echo (new Client($server))->isLocked('job') ? "held\n" : "free while the parent works\n";
    });
} catch (Throwable $thrown) {
    echo $thrown::class, "\n";
}
if (getmypid() !== $me) {
    $end();
}
$lock = $client->lock('two');
if (pcntl_fork() === 0) {
    try {
        $lock->release();
    } catch (Throwable $thrown) {
        echo $thrown::class, "\n";
    }
    $end();
}
pcntl_wait($status);
$lock->assertHeld();
echo $other->isLocked('two') ? "locked\n" : "free\n";
unset($client, $lock);
$other->lock('two', 30)->release();
echo "free with the client\n";
