<?php

declare(strict_types=1);

namespace Glock;

/**
 * Where a daemon is. All clients understand the same spellings and refuse the others in the same words:
 * ../../addresses.json has them.
 *
 * @internal
 */
final class Address
{
    /** The white space that may surround an address, or a secret. */
    public const BLANK = " \t\n\v\f\r";

    /** The ports that an address may leave out. */
    private const PORTS = ['tcp' => 9999, 'tls' => 9999, 'ws' => 9998, 'wss' => 9998];
    private const HOST = '/^[0-9A-Za-z._-]+\z/';

    /** @param array<string, string> $options of TLS: ca, cert, key, host */
    private function __construct(
        /** tcp, unix, tls, ws or wss */
        public readonly string $kind,
        public readonly string $host = '',
        public readonly int $port = 0,
        /** Of a Unix socket, or behind a websocket's host. */
        public readonly string $path = '',
        public readonly array $options = []
    ) {
    }

    /**
     * The one daemon that an address names.
     *
     * @throws \InvalidArgumentException if it names none, or several, or one that PHP does not reach
     */
    public static function of(string $server): self
    {
        $found = self::all($server);
        if (count($found) > 1) {
            throw self::wrong($server, 'this client takes one server, not several');
        }
        if (in_array($found[0]->kind, ['ws', 'wss'], true)) {
            throw self::wrong($server, "this client does not speak {$found[0]->kind}://");
        }
        return $found[0];
    }

    /**
     * The daemons that an address, or several with commas between them, names.
     *
     * @return list<self>
     * @throws \InvalidArgumentException
     */
    public static function all(string $server): array
    {
        $found = [];
        $parts = explode(',', $server);
        foreach ($parts as $part) {
            $part = trim($part, self::BLANK);
            if ($part === '') {
                throw self::wrong($server, count($parts) > 1 ? 'one of several servers is empty' : 'it is empty');
            }
            $one = self::parse($server, $part);
            if (isset($found[$one->url()])) {
                throw self::wrong($server, 'a server is named twice');
            }
            $found[$one->url()] = $one;
        }
        return array_values($found);
    }

    /** The canonical spelling, without options. */
    public function url(): string
    {
        return $this->kind === 'unix' ? "unix://$this->path" : "$this->kind://{$this->where()}$this->path";
    }

    /** Host and port. */
    public function where(): string
    {
        return (str_contains($this->host, ':') ? "[$this->host]" : $this->host) . ":$this->port";
    }

    private static function parse(string $server, string $part): self
    {
        if ($part[0] === '/') {
            return self::unix($server, $part);
        }
        if (str_contains($part, '://')) {
            [$scheme, $rest] = explode('://', $part, 2);
            $scheme = strtolower($scheme);
            if ($scheme === 'unix') {
                return self::unix($server, $rest);
            }
            if (!isset(self::PORTS[$scheme])) {
                throw self::wrong($server, 'it begins with none of tcp:// unix:// tls:// ws:// wss://');
            }
            return self::remote($server, $scheme, $rest);
        }
        if (strncasecmp($part, 'unix:', 5) === 0) {
            return self::unix($server, substr($part, 5));
        }
        return self::remote($server, 'tcp', $part);
    }

    private static function unix(string $server, string $path): self
    {
        if (!str_starts_with($path, '/') || str_contains($path, "\0")) {
            throw self::wrong($server, 'a Unix socket is unix:///absolute/path');
        }
        return new self('unix', path: $path);
    }

    /** HOST[:PORT][/PATH][?OPTIONS] */
    private static function remote(string $server, string $kind, string $rest): self
    {
        [$before, $query] = explode('?', $rest, 2) + [1 => null];
        if (str_contains($before, '@')) {
            // Not with the address: it is not to be shown.
            throw new \InvalidArgumentException('server: the secret belongs in GLOCK_SECRET, not in the address');
        }
        if (str_contains($rest, '#')) {
            throw self::wrong($server, 'a # means nothing in an address');
        }
        [$place, $path] = explode('/', $before, 2) + [1 => ''];
        [$host, $port] = self::hostAndPort($server, $place);
        $socket = in_array($kind, ['ws', 'wss'], true);
        if (!$socket && $path !== '') {
            throw self::wrong($server, 'no path belongs behind the host');
        }
        if (!preg_match('/^[!-~]*\z/', $path)) {
            throw self::wrong($server, 'the path has to be plain ASCII without blanks');
        }
        if ($query !== null && !in_array($kind, ['tls', 'wss'], true)) {
            throw self::wrong($server, 'only tls:// and wss:// take options');
        }
        $options = self::options($server, $query ?? '');
        return new self($kind, $host, $port ?? self::PORTS[$kind], $socket ? "/$path" : '', $options);
    }

    /** @return array{string, int|null} */
    private static function hostAndPort(string $server, string $place): array
    {
        if (str_starts_with($place, '[')) {
            if (!preg_match('/^\[([^%\]]*)(%[^\]]*)?\](?::(.*))?\z/s', $place, $parts, PREG_UNMATCHED_AS_NULL)) {
                throw self::wrong($server, 'the host is no name or address');
            }
            [, $ip, $zone, $port] = $parts;
            $isZone = $zone === null || preg_match(self::HOST, substr($zone, 1));
            if (!str_contains($ip, ':') || @inet_pton($ip) === false || !$isZone) {
                throw self::wrong($server, 'the host is no name or address');
            }
            return [strtolower($ip) . $zone, self::port($server, $port)]; // names of interfaces have cases
        }
        [$host, $port] = explode(':', $place, 2) + [1 => null];
        if (str_contains($port ?? '', ':') && strpbrk($place, '[]') === false) {
            throw self::wrong($server, 'an IPv6 address stands in brackets, as in [::1]:9999');
        }
        if ($host === '' && !str_contains($place, ']')) {
            throw self::wrong($server, 'the host is missing');
        }
        if (!preg_match(self::HOST, $host)) {
            throw self::wrong($server, 'the host is no name or address');
        }
        return [strtolower($host), self::port($server, $port)];
    }

    private static function port(string $server, ?string $digits): ?int
    {
        if ($digits !== null && (!preg_match('/^[1-9]\d{0,4}\z/', $digits) || (int) $digits > 65535)) {
            throw self::wrong($server, 'the port is no number from 1 to 65535');
        }
        return $digits === null ? null : (int) $digits;
    }

    /** @return array<string, string> */
    private static function options(string $server, string $query): array
    {
        $options = [];
        foreach (array_filter(explode('&', $query), static fn (string $pair): bool => $pair !== '') as $pair) {
            [$name, $value] = array_map('urldecode', explode('=', $pair, 2) + [1 => '']);
            if (!in_array($name, ['ca', 'cert', 'key', 'host'], true)) {
                throw self::wrong($server, "unknown option: $name");
            }
            if ($value === '') {
                throw self::wrong($server, "the option $name has no value");
            }
            if (isset($options[$name])) {
                throw self::wrong($server, "the option $name is there twice");
            }
            $options[$name] = $value;
        }
        if (isset($options['key']) && !isset($options['cert'])) {
            throw self::wrong($server, 'the option key needs cert');
        }
        return $options;
    }

    private static function wrong(string $server, string $why): \InvalidArgumentException
    {
        return new \InvalidArgumentException("server '$server': $why");
    }
}
