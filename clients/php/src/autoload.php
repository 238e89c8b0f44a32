<?php

declare(strict_types=1);

// For scripts without Composer: require this file, and the classes load when they are used.
spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'Glock\\') && is_file($file = __DIR__ . '/' . substr($class, 6) . '.php')) {
        require $file;
    }
});
