<?php

declare(strict_types=1);

namespace Glock;

/**
 * Lines to and from the daemon. Replies come in the order of the commands, so that a reply may be fetched later.
 *
 * It belongs to the process that made it. A forked child has the descriptor, too; there everything throws, and nothing
 * is sent nor shut down.
 *
 * @internal
 */
final class Connection
{
    /** The longest command that the daemon takes whole, without its line feed. */
    private const MAX_LINE = 4095;
    /** TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT of tcp(7): asked after 10 s, then every 5 s, given up after 3 times. */
    private const KEEP_ALIVE = [4 => 10, 5 => 5, 6 => 3];

    /** The longest that the system is asked to wait at once, in seconds. */
    private const LONGEST = 3600.0;
    /** After these PHP calls no destructor. */
    private const FATAL = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;
    /** How many of its intervals may pass without a sign of life. */
    private const SILENT_INTERVALS = 2.5;

    private const TLS = STREAM_CRYPTO_METHOD_TLSv1_2_CLIENT | STREAM_CRYPTO_METHOD_TLSv1_3_CLIENT;

    /** @var resource|null */
    private $socket;
    private string $unread = '';
    /** @var list<Reply> replies still to come, oldest first */
    private array $expected = [];
    private string $why = '';
    private readonly int $owner;
    /** How often the daemon shows that it is alive, in seconds, and when it last said anything. */
    private float $interval = INF;
    private float $heard = 0.0;

    /** @var \WeakMap<self, true>|null those that may be open */
    private static ?\WeakMap $open = null;
    /** @var list<resource> what a forked child must not close, since PHP would say goodbye to the daemon */
    private static array $parents = [];

    /**
     * @param float $timeout seconds for connecting, for writing, and for each reply that need not be waited for
     * @param \Closure(string, bool): bool $pushed is shown lines that begin with "! ", and whether they may be part of
     *     a listing; tells whether they were none
     * @param \Closure(string): void $ended is told why the connection has ended, once
     */
    public function __construct(
        Address $address,
        private readonly float $timeout,
        private readonly \Closure $pushed,
        private readonly \Closure $ended
    ) {
        $this->owner = getmypid();
        $this->socket = self::connect($address, $timeout);
        if (self::$open === null) {
            self::$open = new \WeakMap();
            register_shutdown_function(self::atEnd(...));
        }
        self::$open[$this] = true;
    }

    /** @return resource */
    private static function connect(Address $address, float $timeout)
    {
        $options = ['socket' => ['tcp_nodelay' => true]];
        if ($address->kind === 'tls') {
            $options['ssl'] = self::tls($address);
        }
        $plain = $address->kind === 'unix' ? $address->url() : 'tcp://' . $address->where();
        $context = stream_context_create($options);
        $patience = min($timeout, self::LONGEST);
        $socket = @stream_socket_client($plain, $number, $error, $patience, STREAM_CLIENT_CONNECT, $context);
        if ($socket === false) {
            throw new ConnectionLost("{$address->url()}: $error");
        }
        if ($address->kind !== 'unix') {
            self::keepAlive($socket);
        }
        error_clear_last();
        if ($address->kind === 'tls' && !@stream_socket_enable_crypto($socket, true, self::TLS)) {
            throw new ConnectionLost("{$address->url()}: " . (error_get_last()['message'] ?? 'no TLS'));
        }
        stream_set_blocking($socket, false);
        return $socket;
    }

    /**
     * So that a daemon that vanished without a word is found out while a lock is held or waited for.
     *
     * @param resource $socket
     */
    private static function keepAlive($socket): void
    {
        $raw = function_exists('socket_import_stream') ? socket_import_stream($socket) : false;
        if ($raw === false) {
            return; // as after TLS is on
        }
        socket_set_option($raw, SOL_SOCKET, SO_KEEPALIVE, 1);
        foreach (PHP_OS_FAMILY === 'Linux' ? self::KEEP_ALIVE : [] as $option => $value) {
            socket_set_option($raw, SOL_TCP, $option, $value);
        }
    }

    /**
     * What a tls:// address says, as PHP's ssl context options. Certificates are verified, always.
     *
     * @return array<string, string>
     */
    private static function tls(Address $address): array
    {
        $names = ['ca' => 'cafile', 'cert' => 'local_cert', 'key' => 'local_pk', 'host' => 'peer_name'];
        $options = ['peer_name' => $address->host];
        foreach ($address->options as $name => $value) {
            $options[$names[$name]] = $value;
        }
        return $options;
    }

    /** The daemon has been asked to show so often, in seconds, that it is alive. It counts whole ones. */
    public function watch(float $interval): void
    {
        $this->interval = ceil($interval);
        $this->heard = self::now();
    }

    /** Send one command whose reply will come as $reply. */
    public function send(string $command, Reply $reply): void
    {
        if (str_contains($command, "\n")) {
            throw new BadName('a name must not hold a line feed');
        }
        if (strlen($command) > self::MAX_LINE) {
            throw new BadName('the command would be longer than ' . self::MAX_LINE . ' bytes');
        }
        $this->alive();
        if ($reply->lines !== 0) {
            $this->expected[] = $reply;
        }
        $rest = $command . "\n";
        $deadline = self::now() + $this->timeout;
        while ($rest !== '') {
            $written = @fwrite($this->alive(), $rest);
            if ($written === false) {
                $this->end('the daemon hung up');
            }
            $rest = substr($rest, (int) $written);
            if ($rest !== '' && !$this->ready($deadline, true)) {
                $this->end('the daemon does not read');
            }
        }
    }

    /**
     * Wait for a reply and those before it.
     *
     * @param float|null $seconds how long at most; null: as long as ordinary replies may take, and then the connection
     *     is given up, since what comes later could no longer be told apart
     * @return bool whether it is there
     */
    public function fetch(Reply $reply, ?float $seconds = null): bool
    {
        if (!$this->isMine()) {
            throw new ConnectionLost($this->why);
        }
        $deadline = self::now() + ($seconds ?? $this->timeout);
        while (!$reply->complete) {
            if ($reply->failure !== null) {
                throw $reply->failure;
            }
            if ($this->ready($deadline)) {
                $this->read();
            } elseif ($this->isSilent()) {
                $this->end($this->silence());
            } elseif ($seconds !== null) {
                return false;
            } else {
                $this->end("no reply within {$this->timeout} s");
            }
        }
        return true;
    }

    /** Take in what has arrived already; the connection may turn out to have ended. */
    public function look(): void
    {
        while ($this->isMine() && $this->socket !== null && $this->ready(0.0)) {
            $this->read();
        }
        if ($this->isSilent()) {
            $this->close($this->silence());
        }
    }

    /**
     * Hang up, so that the daemon hears of it at once: also where other processes have the descriptor, such as a
     * program that was started in the background.
     */
    public function close(string $why = 'the connection was closed'): void
    {
        if ($this->isMine() && $this->socket !== null) {
            @stream_socket_shutdown($this->socket, STREAM_SHUT_RDWR);
            fclose($this->socket);
            $this->forget($why);
        }
    }

    /** Whether this process is the one that made the connection; if not, it is not to be used here. */
    private function isMine(): bool
    {
        if (getmypid() === $this->owner) {
            return true;
        }
        if ($this->socket !== null) {
            if (isset(stream_get_meta_data($this->socket)['crypto'])) {
                self::$parents[] = $this->socket;
            } else {
                fclose($this->socket);
            }
            $this->forget('this process was forked, and the connection stays with its parent');
        }
        return false;
    }

    private function forget(string $why): void
    {
        $this->socket = null;
        $this->why = $why;
        foreach ($this->expected as $reply) {
            $reply->failure = new ConnectionLost($why);
            $reply->then = null;
        }
        $this->expected = [];
        ($this->ended)($why);
    }

    /** Called when the script ends, before destructors are: after a fatal error those are not. */
    private static function atEnd(): void
    {
        if (((error_get_last()['type'] ?? 0) & self::FATAL) !== 0) {
            // Last of all, since other functions of this kind may still use locks.
            register_shutdown_function(static function (): void {
                foreach (self::$open as $connection => $_) {
                    $connection->close('the script ended');
                }
            });
        }
    }

    private function isSilent(): bool
    {
        return $this->socket !== null && self::now() >= $this->heard + self::SILENT_INTERVALS * $this->interval;
    }

    private function silence(): string
    {
        return "no sign of life for 2.5 times $this->interval s";
    }

    /** Seconds by a clock that nobody sets. */
    private static function now(): float
    {
        return hrtime(true) / 1e9;
    }

    /** @return resource */
    private function alive()
    {
        $this->isMine();
        return $this->socket ?? throw new ConnectionLost($this->why);
    }

    private function end(string $why): never
    {
        $this->close($why);
        throw new ConnectionLost($why);
    }

    /** Wait until the socket can be read, or written; or until the deadline, or a silence that is too long. */
    private function ready(float $deadline, bool $write = false): bool
    {
        do {
            $sockets = [$this->alive()];
            $none = null;
            $until = min($deadline, $this->heard + self::SILENT_INTERVALS * $this->interval);
            $left = max(0.0, min(self::LONGEST, $until - self::now()));
            $seconds = (int) $left;
            $micros = (int) (($left - $seconds) * 1e6);
            // It fails when a signal comes; its handler has been run by then, and may have thrown.
            $count = $write
                ? @stream_select($none, $sockets, $none, $seconds, $micros)
                : @stream_select($sockets, $none, $none, $seconds, $micros);
            if ($count > 0) {
                return true;
            }
        } while (self::now() < $until);
        return false;
    }

    private function read(): void
    {
        $bytes = @fread($this->alive(), 65536);
        if ($bytes === false || ($bytes === '' && feof($this->alive()))) {
            $this->close('the daemon hung up');
            return;
        }
        $this->heard = self::now();
        $lines = explode("\n", $this->unread . $bytes);
        $this->unread = array_pop($lines);
        foreach ($lines as $line) {
            $this->hear(str_ends_with($line, "\r") ? substr($line, 0, -1) : $line);
        }
    }

    private function hear(string $line): void
    {
        if ($line === '! alive') { // no line of a listing: those have a colon
            return;
        }
        $reply = $this->expected[0] ?? null;
        if (str_starts_with($line, '! ') && ($this->pushed)($line, $reply !== null && $reply->end !== null)) {
            return;
        }
        if ($reply === null) {
            return;
        }
        if ($reply->hear($line)) {
            array_shift($this->expected);
        }
    }
}
