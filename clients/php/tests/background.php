<?php

/**
 * Takes the lock nightly and a shared one, starts a program in the background, tells its process id, and ends in one
 * of many ways: php background.php SERVER HOW
 */

declare(strict_types=1);

use Glock\Client;

require __DIR__ . '/../src/autoload.php';

[, $server, $how] = $argv;

/** Uses its lock until the very end. */
final class Owner
{
    public function __construct(private readonly Glock\Lock $lock)
    {
    }

    public function __destruct()
    {
        $this->lock->release();
        echo "released\n";
    }
}

$client = new Client($server);
$lock = $client->lock('nightly');
$counted = $client->shared('nightly');
echo exec('sleep 60 >/dev/null 2>&1 & echo $!'), "\n";
if ($how !== 'unset') {
    register_shutdown_function(static function () use ($lock): void {
        echo $lock->isLost() ? "lost\n" : "held\n";
    });
}
switch ($how) {
    case 'return':
        return;
    case 'exit':
        exit(3);
    case 'unset':
        unset($client, $lock, $counted);
        sleep(60);
        break;
    case 'close':
        $client->close();
        sleep(60);
        break;
    case 'exception':
        throw new DomainException('nobody catches it');
    case 'handled exception':
        set_exception_handler(static fn (Throwable $thrown) => print "handled\n");
        throw new DomainException('somebody handles it');
    case 'error':
        nowhere();
        break;
    case 'user error':
        trigger_error('given up', E_USER_ERROR);
        break;
    case 'memory':
        $heap = [];
        while (true) {
            $heap[] = str_repeat('x', 1_000_000);
        }
        break;
    case 'time':
        set_time_limit(1);
        while (true) {
            hash('sha256', 'x');
        }
        break;
    case 'destructor':
        $owner = new Owner($lock);
        return;
    case 'killed':
        posix_kill(posix_getpid(), SIGKILL);
}
