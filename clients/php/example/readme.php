<?php
require 'clients/php/src/autoload.php';

$client = new Glock\Client();
$lock = $client->lock('job', wait: 5.0); // Glock\WaitTimeout if it takes longer
echo 'mine: ', $lock->token() > 0 ? 'true' : 'false', "\n";
$lock->release();
