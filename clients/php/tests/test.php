<?php

/**
 * Against a daemon: GLOCK_SERVER is where, GLOCK_ADMIN its Unix socket, which lets kick. GLOCK_GUARDED is another one,
 * which wants the secret s3cret. Run with php test.php
 */

declare(strict_types=1);

use Glock\Address;
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
function scripted(array $replies, ?float $alive = null): Client
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
    return new Client('tcp://' . stream_socket_get_name($server, false), timeout: 5.0, alive: $alive);
}

/**
 * Run it in a forked child, and give what that says.
 *
 * @param callable(): string $work
 */
function inChild(callable $work): string
{
    [$ours, $theirs] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, STREAM_IPPROTO_IP);
    $child = pcntl_fork();
    if ($child === 0) {
        try {
            $said = $work();
        } catch (Throwable $thrown) {
            $said = (string) $thrown;
        }
        fwrite($theirs, $said);
        exit(0); // with destructors, as any script
    }
    fclose($theirs);
    pcntl_waitpid($child, $status);
    return (string) stream_get_contents($ours);
}

/** @return array<string, mixed> */
function sharedAddresses(): array
{
    $text = (string) file_get_contents(__DIR__ . '/../../addresses.json');
    $list = json_decode($text, true, 512, JSON_THROW_ON_ERROR);
    same(1, $list['format']);
    return $list;
}

/** What a call throws: its class and message, or '' if it returns. */
function thrown(callable $work): string
{
    try {
        $work();
        return '';
    } catch (Throwable $thrown) {
        return $thrown::class . ': ' . $thrown->getMessage();
    }
}

function contains(string $wanted, string $got): void
{
    if ($wanted === '' || !str_contains($got, $wanted)) {
        throw new RuntimeException("got '$got', want '$wanted' in it");
    }
}

/** Arguments that each method takes, by the names of its parameters. */
const RIGHT = [
    'pool' => 'pool', 'item' => 'item',
    'length' => 1, 'start' => 0, 'slip' => 0, 'shared' => false, 'booking' => 1,
    'name' => 'php right', 'wait' => 0, 'limit' => 2, 'seconds' => 1, 'token' => 1, 'line' => 'ping', 'lines' => 1,
    'server' => null, 'timeout' => 10, 'secret' => null, 'alive' => null,
];
const TEXTS = ['name', 'line', 'server', 'secret', 'pool', 'item'];
const INTEGERS = ['limit', 'token', 'lines', 'booking'];
const OPTIONAL = ['server', 'secret', 'alive', 'limit'];

/** @return list<mixed> arguments for a method, but for one that is given */
function arguments(ReflectionMethod $method, string $which = '', mixed $value = null): array
{
    $arguments = [];
    foreach ($method->getParameters() as $parameter) {
        $name = $parameter->getName();
        $right = $name === 'work' ? static fn (): bool => true : RIGHT[$name] ?? null;
        $arguments[] = $name === $which ? $value : $right;
    }
    return $arguments;
}

/** @return iterable<ReflectionMethod> what a user calls */
function methods(string $class): iterable
{
    foreach ((new ReflectionClass($class))->getMethods(ReflectionMethod::IS_PUBLIC) as $method) {
        $isMagic = str_starts_with($method->getName(), '__');
        if (!$method->isStatic() && !$isMagic && !str_contains((string) $method->getDocComment(), '@internal')) {
            yield $method;
        }
    }
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
        throws(LockBusy::class, static fn () => $other->tryLock('php scope'));
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
        throws(ConnectionLost::class, static fn () => $client->tryLock('php lost'));
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
    'waiting is the default, and not waiting has a name' => static function (): void {
        $holder = new Client();
        $locks = [$holder->lock('php default'), $holder->shared('php default', 1)];
        $client = new Client();
        throws(LockBusy::class, static fn () => $client->tryLock('php default'));
        throws(LockBusy::class, static fn () => $client->tryRead('php default'));
        throws(LockBusy::class, static fn () => $client->tryShared('php default', 1));
        foreach (['lock', 'read', 'synchronized'] as $method) {
            $arguments = arguments(new ReflectionMethod(Client::class, $method), 'name', 'php default');
            $wait = array_pop($arguments);
            same(0, $wait);
            pcntl_async_signals(true);
            pcntl_signal(SIGALRM, static fn () => $locks[0]->release());
            pcntl_alarm(1);
            same(true, $client->$method(...$arguments) !== null);
            $method === 'synchronized' || $client->release('php default');
            $locks[0] = $holder->lock('php default');
        }
        pcntl_signal(SIGALRM, static fn () => $locks[1]->release());
        pcntl_alarm(1);
        same(1, $client->shared('php default', 1)->holders());
    },
    'a wait may be of any size' => static function (): void {
        $holder = new Client();
        $client = new Client();
        foreach ([1e-9, 1, 9223372036, 1e10, 1e21, 1e300, PHP_FLOAT_MAX, PHP_INT_MAX, INF] as $wait) {
            $lock = $holder->lock('php years');
            $pending = $client->startLock('php years', $wait);
            if ($wait < 1) {
                throws(WaitTimeout::class, static fn () => $pending->get());
            } else {
                until(static fn (): bool => count($holder->explain('php years')['exclusive']['waiters']) === 1);
                same(false, $pending->ready());
            }
            $lock->lease($wait > 1 ? $wait : 60);
            $lock->release();
            $wait < 1 || $pending->get()->release();
            (new Client(timeout: max($wait, 1)))->lock('php free years', $wait)->release();
        }
    },
    'what is of another type is a TypeError, and nothing is sent' => static function (): void {
        $client = new Client();
        $lock = $client->lock('php types');
        $pending = $client->startLock('php types');
        $stringable = new class () {
            public function __toString(): string
            {
                return 'php right';
            }
        };
        $sent = static fn (): array => array_filter(
            $client->stats(),
            static fn (string $key): bool => str_starts_with($key, 'command_') && $key !== 'command_q',
            ARRAY_FILTER_USE_KEY
        );
        $pending->get();
        $before = $sent();
        $tried = 0;
        $objects = [$client, $lock, $pending];
        foreach ([...$objects, null] as $object) {
            $constructor = [new ReflectionMethod(Client::class, '__construct')];
            foreach ($object === null ? $constructor : methods($object::class) as $method) {
                foreach ($method->getParameters() as $parameter) {
                    $name = $parameter->getName();
                    if ($name === 'work') {
                        continue;
                    }
                    $wrong = [[], ['a'], $stringable, new stdClass(), ...($name === 'shared' ? [] : [true, false])];
                    $wrong = [...$wrong, ...(in_array($name, TEXTS, true) ? [7, 0, 1.5] : ['5', '', 'inf'])];
                    $wrong = [...$wrong, ...(in_array($name, INTEGERS, true) ? [1.0] : [])];
                    $wrong = [...$wrong, ...(in_array($name, OPTIONAL, true) ? [] : [null])];
                    foreach ($wrong as $value) {
                        if ($method->getName() === 'tryShared' || $name !== 'limit' || $value !== null) {
                            $arguments = arguments($method, $name, $value);
                            $call = static fn (): mixed => $object === null ? new Client(...$arguments)
                                : $method->invokeArgs($object, $arguments);
                            contains("TypeError: $name: want", thrown($call));
                            $tried++;
                        }
                    }
                }
            }
        }
        same(true, $tried > 300);
        same($before, $sent());
        throws(TypeError::class, static fn () => $client->tryShared('a', null));
    },
    'addresses are spelled as for all clients' => static function (): void {
        foreach (sharedAddresses()['addresses'] as $entry) {
            $call = static fn (): array => Address::all($entry['spelled']);
            if (isset($entry['error'])) {
                contains($entry['error'], thrown($call));
                contains('InvalidArgumentException: ', thrown($call));
                same(false, str_contains(thrown($call), 'me:')); // the secret
                continue;
            }
            $found = array_map(static fn (Address $one): string => $one->url(), $call());
            same($entry['several'] ?? [$entry['url']], $found);
            if (isset($entry['kind'])) {
                $one = $call()[0];
                $got = [$one->kind, $one->host, $one->port, $one->path, $one->options];
                $optional = $entry + ['host' => '', 'port' => 0, 'path' => '', 'options' => []];
                $names = ['kind', 'host', 'port', 'path', 'options'];
                same(array_map(static fn (string $name): mixed => $optional[$name], $names), $got);
            }
        }
    },
    'the environment is read as by all clients' => static function (): void {
        $before = (string) getenv('GLOCK_SERVER');
        try {
            foreach (sharedAddresses()['unset'] as $unset) {
                putenv("GLOCK_SERVER=$unset");
                $said = thrown(static fn () => new Client(timeout: 0.1));
                // A daemon may listen there.
                same('', preg_replace('~^Glock\\\\ConnectionLost: tcp://127.0.0.1:9999: .*~', '', $said));
            }
            $wrong = ['a,b' => 'one server, not several', 'wss://a' => 'this client does not speak wss://'];
            foreach ($wrong as $server => $why) {
                putenv("GLOCK_SERVER=$server");
                contains("InvalidArgumentException: server '$server': ", thrown(static fn () => new Client()));
                contains($why, thrown(static fn () => new Client()));
            }
            putenv('GLOCK_SERVER= ' . strtoupper(substr($before, 0, 3)) . substr($before, 3) . "/\n");
            (new Client())->ping();
        } finally {
            putenv("GLOCK_SERVER=$before");
        }
    },
    'secrets are read as by all clients' => static function (): void {
        foreach (sharedAddresses()['secrets'] as $entry) {
            foreach (['argument', 'environment'] as $way) {
                putenv('GLOCK_SECRET=' . ($way === 'environment' ? $entry['secret'] : 'another'));
                $server = stream_socket_server('tcp://127.0.0.1:0');
                $where = 'tcp://' . stream_socket_get_name($server, false);
                $said = thrown(static fn () => new Client(
                    $where,
                    timeout: 0.01,
                    secret: $way === 'argument' ? $entry['secret'] : null
                ));
                putenv('GLOCK_SECRET');
                if (isset($entry['error'])) {
                    contains($entry['error'], $said);
                    contains('BadName', $said);
                    continue;
                }
                $sent = stream_get_contents(stream_socket_accept($server));
                same($entry['sent'] === null ? '' : "auth {$entry['sent']}\n", $sent);
            }
        }
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
    'closing ends a wait, and nothing is granted afterwards' => static function (): void {
        $holder = new Client();
        $lock = $holder->lock('php close');
        $client = new Client();
        pcntl_async_signals(true);
        pcntl_signal(SIGALRM, static fn () => $client->close());
        pcntl_alarm(1);
        throws(ConnectionLost::class, static fn () => $client->lock('php close'));
        until(static fn (): bool => $holder->explain('php close')['exclusive']['waiters'] === []);
        $client = new Client();
        $pending = $client->startLock('php close');
        $held = $client->startShared('php close');
        $client->close();
        throws(ConnectionLost::class, static fn () => $pending->get());
        throws(ConnectionLost::class, static fn () => $pending->ready(1.0));
        throws(ConnectionLost::class, static fn () => $held->get());
        throws(ConnectionLost::class, static fn () => $client->tryLock('php close'));
        $lock->release();
        until(static fn (): bool => !$holder->isLocked('php close'));
    },
    'a forked child that returns from where it was forked does not release the lock' => static function (): void {
        $client = new Client();
        $other = new Client();
        $me = getmypid();
        $thrown = null;
        try {
            $client->synchronized('php family', static function () use ($other): void {
                if (($child = pcntl_fork()) === 0) {
                    return;
                }
                pcntl_waitpid($child, $status);
                same(0, $status);
                same(true, $other->isLocked('php family'));
            });
        } catch (Throwable $thrown) {
        }
        if (getmypid() !== $me) {
            exit($thrown instanceof LockLost ? 0 : 1);
        }
        same(null, $thrown);
        same(false, $other->isLocked('php family'));
    },
    'in a forked child everything throws, and the parent keeps what it has' => static function (): void {
        $other = new Client();
        foreach ([null, (string) getenv('GLOCK_ADMIN')] as $server) {
            $client = new Client($server);
            $lock = $client->lock('php child');
            $shared = $client->shared('php child');
            $token = $lock->token();
            $answered = $client->startLock('php child');
            $answered->get();
            $pending = $client->startLock('php child');
            $said = inChild(static function () use ($client, $lock, $shared, $answered, $pending): string {
                $said = '';
                foreach ([$client, $lock, $shared, $answered, $pending] as $object) {
                    foreach (methods($object::class) as $method) {
                        $said .= $method->getName() . ' ';
                        $said .= thrown(static fn () => $method->invokeArgs($object, arguments($method))) . "\n";
                    }
                }
                return $said . ($lock->isLost() && $shared->isLost() ? 'lost' : 'kept');
            });
            // What does not talk, such as to cancel a wait that is over, may be quiet.
            $forms = '/^(lost|(close|holders|isLost|cancel) |\\w+ Glock\\\\(ConnectionLost|LockLost): .*forked.*'
                . '|\\w+ Glock\\\\Refused: a shared lock has no \\w+)\\z/';
            same('', implode("\n", preg_grep($forms, explode("\n", $said), PREG_GREP_INVERT)));
            same('lost', substr($said, -4));
            $pending->get();
            $lock->assertHeld();
            same(false, $shared->isLost());
            same($token, $client->token('php child'));
            same(1, $other->countShared('php child'));
            throws(LockBusy::class, static fn () => $other->tryLock('php child'));
            unset($client, $lock, $shared, $answered, $pending);
            until(static fn (): bool => !$other->isLocked('php child') && $other->countShared('php child') === 0);
        }
    },
    'the locks go with the client although a forked child lives on' => static function (): void {
        $client = new Client();
        $lock = $client->lock('php survivor');
        $other = new Client();
        $child = pcntl_fork();
        if ($child === 0) {
            sleep(60);
            posix_kill(posix_getpid(), SIGKILL);
        }
        unset($client, $lock);
        $other->lock('php survivor', 10)->release();
        same(0, pcntl_waitpid($child, $status, WNOHANG));
        posix_kill($child, SIGKILL);
        pcntl_waitpid($child, $status);
    },
    'a daemon that no longer shows that it is alive is lost' => static function (): void {
        $server = stream_socket_server('tcp://127.0.0.1:0');
        $child = pcntl_fork();
        if ($child === 0) {
            $socket = stream_socket_accept($server);
            $said = fgets($socket);
            fwrite($socket, $said === "alive 0.600000\n" ? "! alive\n1 ok\n" : "0 $said");
            fgets($socket);
            for ($sign = 0; $sign < 30; $sign++) {
                fwrite($socket, "! alive\n");
                usleep(100_000);
            }
            fgets($socket);
            posix_kill(posix_getpid(), SIGKILL);
        }
        $client = new Client('tcp://' . stream_socket_get_name($server, false), alive: 0.6);
        $started = hrtime(true);
        contains('no sign of life', thrown(static fn () => $client->lock('php alive')));
        $took = (hrtime(true) - $started) / 1e9;
        same(true, $took > 3.0 + 2.0 && $took < 30.0);
        throws(ConnectionLost::class, static fn () => $client->ping());
        pcntl_waitpid($child, $status);
    },
    'a real daemon shows that it is alive, to holders and waiters' => static function (): void {
        $holder = new Client(alive: 1);
        $waiter = new Client(alive: 0.2);
        $lock = $holder->lock('php living');
        throws(WaitTimeout::class, static fn () => $waiter->lock('php living', 3.5)); // more than without a sign
        $lock->release();
    },
    'a holder looks for signs of life, and takes those that came while it worked' => static function (): void {
        $replies = ['1 ok', '1 Lock Get Success: php alive', "! alive\n1 pong", "! alive\n1 pong"];
        $client = scripted($replies, alive: 1);
        $lock = $client->tryLock('php alive');
        foreach ([1, 2] as $_) {
            $client->ping();
            $lock->assertHeld();
            usleep(1_500_000);
        }
        until(static fn (): bool => $lock->isLost());
        contains('no sign of life', thrown(static fn () => $lock->assertHeld()));
    },
    'a sign of life is no part of a reply' => static function (): void {
        $client = scripted(["! alive\n1 pong", "! alive\nconnections: 1\n! alive\nshared_orphans: 0"]);
        $client->ping();
        same(['connections' => 1, 'shared_orphans' => 0], $client->stats());
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
        throws(InvalidArgumentException::class, static fn () => $client->raw('ping', -1));
        throws(InvalidArgumentException::class, static fn () => new Client(alive: 0));
        throws(InvalidArgumentException::class, static fn () => new Client(alive: INF));
        throws(InvalidArgumentException::class, static fn () => new Client(timeout: -1));
        throws(InvalidArgumentException::class, static fn () => new Client(''));
        throws(Refused::class, static fn () => $client->shared('a', 0));
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
        foreach ([0, 0.0, 0.05] as $wait) {
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
            throws(Refused::class, static fn () => scripted([$reply])->tryLock('a'));
        }
    },
    'a release that comes too late says that the lock was lost' => static function (): void {
        $replies = ['1 Lock Get Success: late', "! lost late lease\n0 Lock Release Failure: late"];
        $lock = scripted($replies)->tryLock('late');
        throws(LockLost::class, static fn () => $lock->release());
        throws(LockLost::class, static fn () => $lock->assertHeld());
    },
    'a daemon may want a secret' => static function (): void {
        $guarded = (string) getenv('GLOCK_GUARDED');
        (new Client($guarded, secret: 's3cret'))->lock('php secret')->release();
        throws(NotAuthorised::class, static fn () => new Client($guarded, secret: 'wrong'));
        throws(NotAuthorised::class, static fn () => (new Client($guarded))->tryLock('php secret'));
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
