<?php

/** Plays the conversations that all clients share against a daemon: php conversations.php SERVER FILE */

declare(strict_types=1);

use Glock\BadName;
use Glock\Cancelled;
use Glock\Client;
use Glock\Deadlock;
use Glock\GlockException;
use Glock\Item;
use Glock\Lock;
use Glock\LockBusy;
use Glock\NotHeld;
use Glock\Pending;
use Glock\PendingItem;
use Glock\WaitTimeout;

require __DIR__ . '/../src/autoload.php';

final class Conversation
{
    private const UNTIL_SECONDS = 10.0;
    private const PAUSE_MICROSECONDS = 10_000;
    private const ERRORS = [
        WaitTimeout::class => 'timeout', // before LockBusy, which it is too
        LockBusy::class => 'busy',
        Deadlock::class => 'deadlock',
        Cancelled::class => 'cancelled',
        NotHeld::class => 'not held',
        BadName::class => 'bad name',
    ];

    /** @var array<string, Client> */
    private array $clients = [];
    /** @var array<string, Pending|PendingItem> */
    private array $started = [];
    /** @var array<string, mixed> */
    private array $kept = [];
    /** @var array<string, array<string, Lock>> */
    private array $locks = [];
    /** @var array<string, array<string, Item>> */
    private array $items = [];
    /** @var array<string, array<string, int>> */
    private array $marked = [];

    public function __construct(private readonly string $server)
    {
    }

    /** @param list<array<string, mixed>> $steps */
    public function play(array $steps): void
    {
        foreach ($steps as $number => $step) {
            try {
                $this->carryOut($step);
            } catch (\Throwable $failure) {
                $what = trim(($step['client'] ?? '') . " {$step['do']} " . ($step['name'] ?? ''));
                throw new RuntimeException('step ' . ($number + 1) . " ($what): {$failure->getMessage()}");
            }
        }
    }

    /** @param array<string, mixed> $step */
    private function carryOut(array $step): void
    {
        if (isset($step['client'])) {
            $this->clients[$step['client']] ??= new Client($this->server);
        }
        $deadline = microtime(true) + self::UNTIL_SECONDS;
        while (true) {
            $result = $this->perform($step);
            foreach ($step['keep'] ?? [] as $variable => $field) {
                $this->kept['$' . $variable] = $result[$field];
            }
            $wrong = $this->compare($step, $result);
            if ($wrong === null) {
                return;
            }
            if (!isset($step['until']) || microtime(true) > $deadline) {
                throw new RuntimeException($wrong);
            }
            usleep(self::PAUSE_MICROSECONDS);
        }
    }

    /**
     * @param array<string, mixed> $step
     * @param array<string, mixed> $result
     * @return string|null what is wrong
     */
    private function compare(array $step, array $result): ?string
    {
        foreach (($step['is'] ?? []) + ($step['until'] ?? []) as $field => $wanted) {
            $wanted = $this->value($wanted);
            if (($result[$field] ?? null) !== $wanted) {
                return "$field: want " . json_encode($wanted) . ' in ' . json_encode($result);
            }
        }
        foreach ($step['over'] ?? [] as $field => $value) {
            if (!($result[$field] > $this->value($value))) {
                return "$field: want more than {$this->value($value)} in " . json_encode($result);
            }
        }
        return null;
    }

    private function value(mixed $value): mixed
    {
        return is_array($value) ? array_map($this->value(...), $value)
            : (is_string($value) ? $this->kept[$value] ?? $value : $value);
    }

    /**
     * @param array<string, mixed> $step
     * @return array<string, mixed>
     */
    private function perform(array $step): array
    {
        try {
            return $this->ask($step);
        } catch (GlockException $failure) {
            foreach (self::ERRORS as $class => $error) {
                if ($failure instanceof $class) {
                    return ['ok' => false, 'error' => $error];
                }
            }
            throw $failure;
        }
    }

    /**
     * @param array<string, mixed> $step
     * @return array<string, mixed>
     */
    private function ask(array $step): array
    {
        $name = $step['name'] ?? '';
        $label = $step['later'] ?? null;
        if ($step['do'] === 'cancel') {
            $this->started[$label]->cancel();
            return [];
        }
        if ($step['do'] === 'await') {
            $got = $this->started[$label]->get();
            return $got instanceof Item ? $this->took($got) : ['ok' => true, 'count' => $got->holders()];
        }
        $letter = $step['client'];
        $client = $this->clients[$letter];
        switch ($step['do']) {
            case 'lock':
            case 'read':
            case 'shared':
                if ($step['do'] === 'lock' && !isset($step['wait'])) {
                    $lock = $this->locks[$letter][$name] = $client->tryLock($name);
                    return ['ok' => true, 'count' => $lock->holders()];
                }
                $wait = ($step['wait'] ?? 0) === 'inf' ? INF : $step['wait'] ?? 0;
                $pending = match ($step['do']) {
                    'lock' => $client->startLock($name, $wait),
                    'read' => $client->startRead($name, $wait),
                    'shared' => $client->startShared($name, $step['limit'] ?? null, $wait),
                };
                if ($label !== null) {
                    $this->started[$label] = $pending;
                    return [];
                }
                $lock = $this->locks[$letter][$name] = $pending->get();
                return ['ok' => true, 'count' => $lock->holders()];
            case 'put':
                return ['put' => $client->put($step['pool'], $step['item'])];
            case 'take':
                $wait = ($step['wait'] ?? 0) === 'inf' ? INF : $step['wait'] ?? 0;
                $pending = $client->startTake($step['pool'], $wait);
                if ($label !== null) {
                    $this->started[$label] = $pending;
                    return [];
                }
                $item = $pending->get();
                $this->items[$letter]["$item->pool $item->name"] = $item;
                return $this->took($item);
            case 'done':
            case 'fail':
            case 'give':
                $client->{$step['do']}($step['pool'], $step['item']);
                return ['ok' => true];
            case 'keep':
                $seconds = $step['seconds'] === 'inf' ? INF : (float) $step['seconds'];
                $client->keep($step['pool'], $step['item'], $seconds);
                return ['ok' => true];
            case 'pool':
                return $client->pools($step['pool']);
            case 'book':
                $rest = [(float) ($step['start'] ?? 0), (float) ($step['slip'] ?? 0), $step['shared'] ?? false];
                $booking = $client->book($name, (float) $step['seconds'], ...$rest);
                $moments = ['begin' => $booking->begin, 'end' => $booking->end];
                $written = array_map(static fn ($moment) => $moment->format('Y-m-d\TH:i:s\Z'), $moments);
                return ['ok' => true, 'booking' => $booking->number] + $written;
            case 'unbook':
                $client->unbook($this->value($step['booking']));
                return ['ok' => true];
            case 'bookings':
                $found = $client->bookings($name);
                $all = ['states' => array_column($found, 'state'), 'modes' => array_column($found, 'mode')];
                return ['count' => count($found)] + $all;
            case 'lost_item':
                return ['lost' => $this->items[$letter]["$step[pool] $step[item]"]->isLost()];
            case 'release':
                $client->release($name);
                return ['ok' => true];
            case 'release_shared':
                $client->releaseShared($name);
                return ['ok' => true];
            case 'inspect':
                return ['locked' => $client->isLocked($name)];
            case 'inspect_shared':
                $count = $client->countShared($name);
                return ['locked' => $count > 0, 'count' => $count];
            case 'holders':
                $holders = $client->holders($name);
                return ['holders' => $holders, 'count' => count($holders)];
            case 'holders_shared':
                $holders = $client->holdersShared($name);
                return ['holders' => $holders, 'count' => count($holders)];
            case 'lease':
                $client->lease($name, $step['seconds'] === 'inf' ? INF : (float) $step['seconds']);
                return ['ok' => true];
            case 'token':
                return ['ok' => true, 'token' => $client->token($name)];
            case 'check':
                return ['current' => $client->check($name, $this->value($step['token']))];
            case 'lost':
                return ['lost' => $this->locks[$letter][$name]->isLost()];
            case 'iam':
                $client->iam($name);
                return ['ok' => true];
            case 'me':
                return $client->me();
            case 'who':
                $names = array_values($client->who($name));
                sort($names, SORT_STRING);
                return ['names' => $names];
            case 'stats':
                return $client->stats();
            case 'mark':
                $this->marked[$letter] = $client->stats();
                return [];
            case 'grown':
                $grown = [];
                $asked = ($step['is'] ?? []) + ($step['until'] ?? []);
                foreach ($client->stats() + array_map(static fn (): int => 0, $asked) as $key => $count) {
                    $grown[$key] = $count - ($this->marked[$letter][$key] ?? 0);
                }
                return $grown;
            case 'ping':
                $client->ping();
                return ['ok' => true];
            case 'version':
                return ['ok' => str_starts_with($client->version(), 'glockd ')];
            case 'bound':
                return ['ok' => $client->bound() > 0];
            case 'raw':
                $heard = $client->raw($step['send'], count($step['hear']));
                if ($heard !== $step['hear']) {
                    throw new RuntimeException('heard ' . json_encode($heard));
                }
                return [];
            case 'hang_up':
                $client->close();
                unset($this->clients[$letter]);
                return [];
        }
        throw new RuntimeException("unknown step '{$step['do']}'");
    }

    /** @return array<string, mixed> */
    private function took(Item $item): array
    {
        return ['ok' => true, 'item' => $item->name, 'attempt' => $item->attempt];
    }
}

if ($argc !== 3) {
    fwrite(STDERR, "usage: php conversations.php SERVER FILE\n");
    exit(2);
}
$list = json_decode((string) file_get_contents($argv[2]), true, 512, JSON_THROW_ON_ERROR);
if ($list['format'] !== 1) {
    fwrite(STDERR, "$argv[2]: format {$list['format']}, want 1\n");
    exit(2);
}
try {
    new Client($argv[1]);
} catch (GlockException $failure) {
    fwrite(STDERR, $failure->getMessage() . "\n");
    exit(2);
}
$passed = 0;
$failed = 0;
foreach ($list['conversations'] as ['title' => $title, 'steps' => $steps]) {
    try {
        (new Conversation($argv[1]))->play($steps);
        $passed++;
    } catch (RuntimeException $failure) {
        $failed++;
        echo "failed: $title: {$failure->getMessage()}\n";
    }
}
echo "$passed passed, $failed failed\n";
exit($failed > 0 ? 1 : 0);
