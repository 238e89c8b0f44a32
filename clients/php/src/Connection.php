<?php

declare(strict_types=1);

namespace Glock;

/**
 * Lines to and from the daemon. Replies come in the order of the commands, so that a reply may be fetched later.
 *
 * @internal
 */
final class Connection
{
    /** The longest command that the daemon takes whole, without its line feed. */
    private const MAX_LINE = 4095;
    /** TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT of tcp(7): asked after 10 s, then every 5 s, given up after 3 times. */
    private const KEEP_ALIVE = [4 => 10, 5 => 5, 6 => 3];

    private const TLS = STREAM_CRYPTO_METHOD_TLSv1_2_CLIENT | STREAM_CRYPTO_METHOD_TLSv1_3_CLIENT;

    /** @var resource|null */
    private $socket;
    private string $unread = '';
    /** @var list<Reply> replies still to come, oldest first */
    private array $expected = [];
    private string $why = '';

    /**
     * @param string $server tcp://host:port, unix:///path or tls://host:port?OPTIONS
     * @param float $timeout seconds for connecting, for writing, and for each reply that need not be waited for
     * @param \Closure(string, bool): bool $pushed is shown lines that begin with "! ", and whether they may be part of
     *     a listing; tells whether they were none
     * @param \Closure(string): void $ended is told why the connection has ended, once
     */
    public function __construct(
        string $server,
        private readonly float $timeout,
        private readonly \Closure $pushed,
        private readonly \Closure $ended
    ) {
        $forms = '~^(?:unix:///.+|tcp://.+:\d+|tls://(?<where>[^?]+:\d+)(?:\?(?<options>.*))?)\z~';
        if (!preg_match($forms, $server, $parts)) {
            throw new \InvalidArgumentException(
                "server '$server': want tcp://host:port, tls://host:port or unix:///path"
            );
        }
        $secure = isset($parts['where']);
        $options = ['socket' => ['tcp_nodelay' => true]];
        if ($secure) {
            $options['ssl'] = self::tls($server, $parts['where'], $parts['options'] ?? '');
        }
        $context = stream_context_create($options);
        $plain = $secure ? 'tcp://' . $parts['where'] : $server;
        $socket = @stream_socket_client($plain, $number, $error, $timeout, STREAM_CLIENT_CONNECT, $context);
        if ($socket === false) {
            throw new ConnectionLost("$server: $error");
        }
        if (!str_starts_with($server, 'unix://') && function_exists('socket_import_stream')) {
            // So that a daemon that vanished without a word is found out while a lock is held or waited for.
            $raw = socket_import_stream($socket); // not to be had any more once TLS is on
            if ($raw !== false) {
                socket_set_option($raw, SOL_SOCKET, SO_KEEPALIVE, 1);
                foreach (PHP_OS_FAMILY === 'Linux' ? self::KEEP_ALIVE : [] as $option => $value) {
                    socket_set_option($raw, SOL_TCP, $option, $value);
                }
            }
        }
        error_clear_last();
        if ($secure && !@stream_socket_enable_crypto($socket, true, self::TLS)) {
            throw new ConnectionLost("$server: " . (error_get_last()['message'] ?? 'no TLS'));
        }
        stream_set_blocking($socket, false);
        $this->socket = $socket;
    }

    /**
     * What a tls:// address says, as PHP's ssl context options. Certificates are verified, always.
     *
     * @return array<string, string>
     */
    private static function tls(string $server, string $where, string $query): array
    {
        parse_str($query, $given);
        $names = ['ca' => 'cafile', 'cert' => 'local_cert', 'key' => 'local_pk', 'host' => 'peer_name'];
        $options = ['peer_name' => trim(substr($where, 0, (int) strrpos($where, ':')), '[]')];
        foreach ($given as $name => $value) {
            if (!isset($names[$name]) || !is_string($value)) {
                throw new \InvalidArgumentException("server '$server': unknown option '$name'");
            }
            $options[$names[$name]] = $value;
        }
        return $options;
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
        $deadline = microtime(true) + $this->timeout;
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
        $deadline = microtime(true) + ($seconds ?? $this->timeout);
        while (!$reply->complete) {
            if ($reply->failure !== null) {
                throw $reply->failure;
            }
            if ($this->ready($deadline)) {
                $this->read();
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
        while ($this->socket !== null && $this->ready(0.0)) {
            $this->read();
        }
    }

    /** Hang up. */
    public function close(string $why = 'the connection was closed'): void
    {
        if ($this->socket === null) {
            return;
        }
        fclose($this->socket);
        $this->socket = null;
        $this->why = $why;
        foreach ($this->expected as $reply) {
            $reply->failure = new ConnectionLost($why);
            $reply->then = null;
        }
        $this->expected = [];
        ($this->ended)($why);
    }

    /** @return resource */
    private function alive()
    {
        return $this->socket ?? throw new ConnectionLost($this->why);
    }

    private function end(string $why): never
    {
        $this->close($why);
        throw new ConnectionLost($why);
    }

    /** Wait until the socket can be read, or written. */
    private function ready(float $deadline, bool $write = false): bool
    {
        do {
            $sockets = [$this->alive()];
            $none = null;
            $left = max(0.0, min(3600.0, $deadline - microtime(true)));
            $seconds = (int) $left;
            $micros = (int) (($left - $seconds) * 1e6);
            // It fails when a signal comes; its handler has been run by then, and may have thrown.
            $count = $write
                ? @stream_select($none, $sockets, $none, $seconds, $micros)
                : @stream_select($sockets, $none, $none, $seconds, $micros);
            if ($count > 0) {
                return true;
            }
        } while (microtime(true) < $deadline);
        return false;
    }

    private function read(): void
    {
        $bytes = @fread($this->alive(), 65536);
        if ($bytes === false || ($bytes === '' && feof($this->alive()))) {
            $this->close('the daemon hung up');
            return;
        }
        $lines = explode("\n", $this->unread . $bytes);
        $this->unread = array_pop($lines);
        foreach ($lines as $line) {
            $this->hear(str_ends_with($line, "\r") ? substr($line, 0, -1) : $line);
        }
    }

    private function hear(string $line): void
    {
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
