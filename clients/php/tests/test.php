<?php

/**
 * Against a daemon: GLOCK_SERVER is where, GLOCK_ADMIN its Unix socket, which lets kick. GLOCK_GUARDED is another one,
 * which wants the secret s3cret. Run with php test.php
 */

declare(strict_types=1);

use Glock\BadName;
use Glock\Cancelled;
use Glock\Client;
use Glock\ConnectionLost;
use Glock\Deadlock;
use Glock\Lock;
use Glock\LockBusy;
use Glock\LockLost;
use Glock\NotAuthorised;
use Glock\NotHeld;
use Glock\Pending;
use Glock\Refused;
use Glock\WaitTimeout;

require __DIR__ . '/../src/autoload.php';

set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
    if ((error_reporting() & $level) === 0) {
        return false; // silenced with @
    }
    throw new ErrorException($message, 0, $level, $file, $line);
});

function same(mixed $wanted, mixed $got): void
{
    if ($wanted !== $got) {
        throw new RuntimeException('got ' . var_export($got, true) . ', want ' . var_export($wanted, true));
    }
}

function throws(string $class, callable $work): void
{
    try {
        $work();
    } catch (Throwable $thrown) {
        same($class, $thrown::class);
        return;
    }
    throw new RuntimeException("wanted $class");
}

function until(callable $fact): void
{
    $deadline = microtime(true) + 10.0;
    while (!$fact()) {
        if (microtime(true) > $deadline) {
            throw new RuntimeException('never came true');
        }
        usleep(5000);
    }
}

function kick(Client $client): void
{
    $address = $client->me()['address'];
    same(["1 Kicked: $address"], (new Client((string) getenv('GLOCK_ADMIN')))->raw("kick $address"));
}

/**
 * A client of a daemon that says these things, each when it has heard a line, its bytes one by one, and then stays
 * silent.
 *
 * @param list<string> $replies
 */
function scripted(array $replies): Client
{
    $server = stream_socket_server('tcp://127.0.0.1:0');
    $child = pcntl_fork();
    if ($child === 0) {
        $socket = stream_socket_accept($server);
        foreach ($replies as $reply) {
            fgets($socket);
            foreach (str_split("$reply\n") as $letter) {
                fwrite($socket, $letter);
            }
        }
        fgets($socket); // until the client hangs up
        posix_kill(posix_getpid(), SIGKILL); // nothing of the parent's is to be destructed here
    }
    return new Client('tcp://' . stream_socket_get_name($server, false), timeout: 5.0);
}

$tests = [
    'synchronized releases, whatever comes' => static function (): void {
        $client = new Client();
        $other = new Client();
        same(42, $client->synchronized('php work', static function (Lock $lock) use ($other): int {
            same('php work', $lock->name);
            same(true, $other->isLocked('php work'));
            return 42;
        }));
        same(false, $other->isLocked('php work'));
        throws(DomainException::class, static fn () => $client->synchronized('php work', static function (): never {
            throw new DomainException();
        }));
        same(false, $other->isLocked('php work'));
    },
    'the locks go with the client' => static function (): void {
        $other = new Client();
        $client = new Client();
        $lock = $client->lock('php scope');
        $client->shared('php scope');
        $pending = $client->startLock('php scope 2', 5.0);
        $pending->get();
        throws(LockBusy::class, static fn () => $other->lock('php scope'));
        unset($client, $lock, $pending);
        $other->lock('php scope', 5.0);
        $other->lock('php scope 2', 5.0);
        until(static fn (): bool => $other->countShared('php scope') === 0);
    },
    'a lost connection is told by whoever relies on a lock' => static function (): void {
        $client = new Client();
        $lock = $client->lock('php lost');
        $shared = $client->shared('php lost');
        same(false, $lock->isLost());
        $lock->assertHeld();
        kick($client);
        until(static fn (): bool => $lock->isLost());
        same(true, $shared->isLost());
        throws(LockLost::class, static fn () => $lock->assertHeld());
        throws(LockLost::class, static fn () => $lock->release());
        throws(LockLost::class, static fn () => $lock->token());
        throws(ConnectionLost::class, static fn () => $client->ping());
        throws(ConnectionLost::class, static fn () => $client->lock('php lost'));
    },
    'work whose lock was lost is not taken for done' => static function (): void {
        $client = new Client();
        throws(LockLost::class, static fn () => $client->synchronized('php lost', static fn () => kick($client)));
    },
    'a lost connection ends a wait' => static function (): void {
        $holder = new Client();
        $lock = $holder->lock('php wait');
        $client = new Client();
        $address = $client->me()['address'];
        $pending = $client->startLock('php wait', INF);
        (new Client((string) getenv('GLOCK_ADMIN')))->raw("kick $address");
        throws(ConnectionLost::class, static fn () => $pending->get());
        $lock->release();
    },
    'a lease that ran out is told' => static function (): void {
        $client = new Client();
        $lock = $client->lock('php lease');
        $lock->lease(0.02);
        until(static fn (): bool => $lock->isLost());
        throws(LockLost::class, static fn () => $lock->lease(1.0));
        $client->lock('php lease')->release();
    },
    'a shared lock has neither token nor lease, whatever its namesake has' => static function (): void {
        $client = new Client();
        $client->lock('php namesake');
        $shared = $client->shared('php namesake');
        throws(Refused::class, static fn () => $shared->token());
        throws(Refused::class, static fn () => $shared->lease(0.0));
    },
    'a lock is released once' => static function (): void {
        $lock = (new Client())->lock('php once');
        $lock->release();
        throws(NotHeld::class, static fn () => $lock->release());
    },
    'a script may do something else while it waits' => static function (): void {
        $holder = new Client();
        $lock = $holder->lock('php later');
        $client = new Client();
        $pending = $client->startLock('php later', 10.0);
        same(false, $pending->ready());
        same(false, $pending->ready(0.01));
        until(static fn (): bool => count($holder->explain('php later')['exclusive']['waiters']) === 1);
        $lock->release();
        same(true, $pending->ready(10.0));
        same('php later', $pending->get()->name);
        throws(WaitTimeout::class, static fn () => $holder->lock('php later', 0.01));
        throws(LockBusy::class, static fn () => $holder->lock('php later', 0.0));
    },
    'a cancelled wait leaves nothing, also when the grant is on its way or here' => static function (): void {
        $holder = new Client();
        $client = new Client();
        for ($round = 0; $round < 200; $round++) {
            $lock = $holder->lock('php race', 5.0);
            $pending = $client->startLock('php race', INF);
            until(static fn (): bool => count($holder->explain('php race')['exclusive']['waiters']) === 1);
            $lock->release();
            if ($round % 4 === 1) {
                same(true, $pending->ready(10.0));
            }
            $pending->cancel();
            throws(Cancelled::class, static fn () => $pending->get());
            same(false, $holder->isLocked('php race'));
        }
    },
    'cancelling a second request keeps the first hold' => static function (): void {
        $client = new Client();
        $client->lock('php twice');
        $client->startLock('php twice', 5.0)->cancel();
        same(true, $client->isLocked('php twice'));
    },
    'an exception thrown while waiting leaves nothing behind' => static function (): void {
        pcntl_async_signals(true);
        pcntl_signal(SIGALRM, static fn () => throw new UnexpectedValueException('alarm'));
        $holder = new Client();
        $lock = $holder->lock('php signal');
        $client = new Client();
        pcntl_alarm(1);
        throws(UnexpectedValueException::class, static fn () => $client->lock('php signal', 30.0));
        same([], $holder->explain('php signal')['exclusive']['waiters']);
        $lock->release();
        $client->lock('php signal')->release();
    },
    'a deadlock is refused' => static function (): void {
        $one = new Client();
        $two = new Client();
        $one->lock('php fork');
        $two->lock('php knife');
        $pending = $one->startLock('php knife', 10.0);
        until(static fn (): bool => count($two->explain('php knife')['exclusive']['waiters']) === 1);
        throws(Deadlock::class, static fn () => $two->lock('php fork', 10.0));
        $two->release('php knife');
        $pending->get()->release();
    },
    'bad arguments never reach the wire' => static function (): void {
        $client = new Client();
        throws(BadName::class, static fn () => $client->lock("a\nr b"));
        throws(BadName::class, static fn () => $client->lock(str_repeat('x', 4096)));
        throws(BadName::class, static fn () => $client->holders(' '));
        throws(InvalidArgumentException::class, static fn () => $client->lock('a', -1.0));
        throws(InvalidArgumentException::class, static fn () => $client->lock('a', NAN));
        throws(Refused::class, static fn () => $client->shared('a', 0));
        throws(InvalidArgumentException::class, static fn () => new Client('http://localhost/'));
        throws(InvalidArgumentException::class, static fn () => new Client('tls://localhost:1?verify=no'));
        throws(ConnectionLost::class, static fn () => new Client('unix:///nowhere/glockd.sock'));
        $client->ping();
    },
    'a daemon that does not answer is given up' => static function (): void {
        $server = stream_socket_server('tcp://127.0.0.1:0');
        $client = new Client('tcp://' . stream_socket_get_name($server, false), timeout: 0.05);
        throws(ConnectionLost::class, static fn () => $client->ping());
        throws(ConnectionLost::class, static fn () => $client->lock('a', 0.01));
    },
    'a wait does not outlast a daemon that hangs' => static function (): void {
        foreach ([null, 0.0, 0.05] as $wait) {
            $server = stream_socket_server('tcp://127.0.0.1:0');
            $client = new Client('tcp://' . stream_socket_get_name($server, false), timeout: 0.05);
            $started = microtime(true);
            throws(ConnectionLost::class, static fn () => $client->lock('a', $wait));
            same(true, microtime(true) - $started < 10.0);
        }
    },
    'what is no answer is not taken for a no' => static function (): void {
        foreach (['0 Only TLS Here', '0 Idle Too Long', 'HTTP/1.1 400 Bad Request', '', '0'] as $reply) {
            throws(Refused::class, static fn () => scripted([$reply])->isLocked('a'));
            throws(Refused::class, static fn () => scripted([$reply])->check('a', 1));
            throws(Refused::class, static fn () => scripted([$reply])->lock('a'));
        }
    },
    'a release that comes too late says that the lock was lost' => static function (): void {
        $lock = scripted(['1 Lock Get Success: late', "! lost late lease\n0 Lock Release Failure: late"])->lock('late');
        throws(LockLost::class, static fn () => $lock->release());
        throws(LockLost::class, static fn () => $lock->assertHeld());
    },
    'a daemon may want a secret' => static function (): void {
        $guarded = (string) getenv('GLOCK_GUARDED');
        (new Client($guarded, secret: 's3cret'))->lock('php secret')->release();
        throws(NotAuthorised::class, static fn () => new Client($guarded, secret: 'wrong'));
        throws(NotAuthorised::class, static fn () => (new Client($guarded))->lock('php secret'));
    },
    'history and statistics are told' => static function (): void {
        $client = new Client();
        $client->lock('php history')->release();
        same(['granted', 'released'], array_column($client->history('php history'), 'event'));
        same(true, $client->stats()['command_g'] > 0);
    },
];

$failed = 0;
foreach ($tests as $title => $test) {
    try {
        $test();
    } catch (Throwable $failure) {
        $failed++;
        echo "failed: $title: $failure\n";
    }
}
echo count($tests) - $failed, " passed, $failed failed\n";
exit($failed > 0 ? 1 : 0);
