<?php
// phpredis: php phpredis.php <port> [words]. See common.js for the agreement with tests/clients/run.
declare(strict_types=1);

error_reporting(E_ALL);
set_error_handler(function (int $level, string $text, string $file, int $line): never {
    throw new ErrorException($text, 0, $level, $file, $line);
});

$port = (int) $argv[1];
$withLocks = !in_array('no-locks', $argv, true);
$checks = 0;

function equal(mixed $actual, mixed $expected): void
{
    global $checks;
    if ($actual !== $expected) {
        throw new Exception('expected ' . var_export($expected, true) . ', got ' . var_export($actual, true));
    }
    $checks++;
}

function order(string $what): void
{
    echo "$what\n";
    fgets(STDIN);
}

/** With the password of the environment, when it names a user; nobody without one. */
function connect(?string $password = null): Redis
{
    global $port;
    $redis = new Redis();
    $folder = getenv('CLIENTS_TLS');
    if ($folder) {
        $files = ['cafile' => "$folder/ca.crt", 'local_cert' => "$folder/client.crt", 'local_pk' => "$folder/client.key"];
        equal($redis->connect('tls://127.0.0.1', $port, 30, null, 0, 0, ['stream' => $files]), true);
    } else {
        equal($redis->connect('127.0.0.1', $port, 30), true);
    }
    if ($password) {
        equal($redis->auth([getenv('CLIENTS_USER'), $password]), true);
    }
    return $redis;
}

function waitFor(string $what, callable $condition): void
{
    $deadline = microtime(true) + 30;
    while (!$condition()) {
        if (microtime(true) > $deadline) {
            throw new Exception("waited in vain for: $what");
        }
        usleep(5000);
    }
}

function strings(Redis $redis): void
{
    equal($redis->ping(), true);
    equal($redis->set('key', 'value'), true);
    equal($redis->get('key'), 'value');
    equal($redis->get('missing'), false);
    equal($redis->set('key', 'x', ['nx', 'ex' => 100]), false);
    equal($redis->set('key', 'new', ['xx', 'px' => 100000]), true);
    equal($redis->ttl('key') > 90, true);
    equal($redis->persist('key'), true);
    equal($redis->append('key', 'er'), 5);
    equal($redis->mset(['a' => '1', 'b' => '2']), true);
    equal($redis->mget(['a', 'missing', 'b']), ['1', false, '2']);
    equal($redis->incrBy('a', 41), 42);
    equal($redis->incrByFloat('a', 0.5), 42.5);
    equal($redis->del('a', 'b', 'missing'), 2);
    $binary = implode('', array_map('chr', range(0, 255)));
    equal($redis->set($binary, $binary), true);
    equal($redis->get($binary), $binary);
    $long = str_repeat('x', 3000000);
    equal($redis->set('long', $long), true);
    equal($redis->get('long') === $long, true);
    equal($redis->type('key'), Redis::REDIS_STRING);
    equal($redis->pExpire('long', 30), true);
    waitFor('it expires', fn () => $redis->get('long') === false);
}

function structures(Redis $redis): void
{
    equal($redis->hMSet('hash', ['f' => '1', 'g' => '2']), true);
    equal($redis->hGetAll('hash'), ['f' => '1', 'g' => '2']);
    equal($redis->hIncrBy('hash', 'f', 4), 5);
    equal($redis->rPush('list', 'a', 'b', 'c'), 3);
    equal($redis->lRange('list', 0, -1), ['a', 'b', 'c']);
    equal($redis->blPop(['none', 'list'], 5), ['list', 'a']);
    equal($redis->sAdd('set', 'x', 'y'), 2);
    equal($redis->sIsMember('set', 'x'), true);
    equal($redis->zAdd('zset', 1.5, 'one', 2, 'two'), 2);
    equal($redis->zRange('zset', 0, -1, true), ['one' => 1.5, 'two' => 2.0]);
    $id = $redis->xAdd('stream', '*', ['f' => 'v']);
    equal($redis->xRange('stream', '-', '+'), [$id => ['f' => 'v']]);
    equal($redis->pfAdd('hll', ['a', 'b', 'a']), 1);
    equal($redis->pfCount('hll'), 2);
}

function transactions(Redis $redis, Redis $other): void
{
    equal($redis->multi()->set('t', '1')->incr('t')->get('t')->exec(), [true, 2, '2']);
    $redis->watch('t');
    $other->set('t', 'theirs');
    equal($redis->multi()->set('t', 'mine')->exec(), false);
    equal($redis->get('t'), 'theirs');
    $pipeline = $redis->pipeline();
    for ($i = 0; $i < 2000; $i++) {
        $pipeline->set("p:$i", (string) $i)->get("p:$i");
    }
    $replies = $pipeline->exec();
    equal(count($replies), 4000);
    equal($replies[3999], '1999');
}

function scans(Redis $redis): void
{
    $redis->setOption(Redis::OPT_SCAN, (string) Redis::SCAN_RETRY);
    $found = [];
    $cursor = null;
    while (($keys = $redis->scan($cursor, 'p:*', 100)) !== false) {
        $found += array_flip($keys);
    }
    equal(count($found), 2000);
    equal(count($redis->keys('p:199?')), 10);
}

function scripts(Redis $redis): void
{
    equal($redis->eval('return {KEYS[1], ARGV[1], 3}', ['k', 'v'], 1), ['k', 'v', 3]);
    $sha = $redis->script('load', "return redis.call('incr', KEYS[1])");
    equal($redis->evalSha($sha, ['counted'], 1), 1);
    equal($redis->evalSha(str_repeat('f', 40)), false);
    equal(str_starts_with($redis->getLastError(), 'NOSCRIPT'), true);
    $redis->clearLastError();
    equal($redis->incr('key'), false);
    equal(rtrim($redis->getLastError(), "\0"), 'ERR value is not an integer or out of range');
    equal($redis->rawCommand('ECHO', 'raw'), 'raw');
    equal($redis->select(3), true);
    equal($redis->exists('key'), 0);
    equal($redis->select(0), true);
    equal($redis->info()['redis_mode'], 'standalone');
}

// Values of any type, as caches keep them.
function serialized(): void
{
    global $password;
    $redis = connect($password);
    $redis->setOption(Redis::OPT_SERIALIZER, (string) Redis::SERIALIZER_PHP);
    $redis->setOption(Redis::OPT_PREFIX, 'app:');
    $value = ['list' => [1, 2.5, null, true], 'object' => new ArrayObject(['x' => 1])];
    equal($redis->setex('object', 100, $value), true);
    equal(serialize($redis->get('object')), serialize($value));
    equal(connect($password)->exists('app:object'), 1);
    $redis->close();
}

function locks(Redis $redis): void
{
    $token = $redis->rawCommand('LOCK', 'lock', 'me', '60000');
    equal(is_int($token) && $token > 0, true);
    equal($redis->rawCommand('LOCK', 'lock', 'you', '60000'), false);
    equal($redis->rawCommand('SET', 'guarded', 'x', 'FENCE', (string) $token), true);
    equal($redis->rawCommand('SEQNEXT', 'numbers', 'COUNT', '3'), [1, 3]);
    equal($redis->rawCommand('UNLOCK', 'lock', 'me'), 1);
}

function fails(string $error, callable $call): void
{
    try {
        $reply = $call();
    } catch (RedisException $e) {
        equal(str_starts_with($e->getMessage(), $error), true);
        return;
    }
    throw new Exception("expected $error, got " . var_export($reply, true));
}

/** What the user of --acl may not do, and what nobody and somebody else is told. */
function refusals(Redis $redis): void
{
    $denied = 'NOPERM this user has no permissions to ';
    fails($denied . 'access one of the keys', fn () => $redis->get('!key'));
    fails($denied . 'access one of the channels', fn () => $redis->publish('!news', 'x'));
    fails($denied . "run the 'config|set' command", fn () => $redis->config('SET', 'timeout', '0'));
    fails('NOAUTH', fn () => connect()->get('key'));
    fails('WRONGPASS', fn () => connect('wrong')->get('key'));
}

function reconnect(Redis $redis): void
{
    equal($redis->set('kept', 'over the restart'), true);
    order('RESTART');
    // It connects again by itself.
    equal($redis->get('kept'), 'over the restart');
}

$password = getenv('CLIENTS_USER') ? getenv('CLIENTS_PASSWORD') : null;
$redis = connect($password);
$other = connect($password);
order('FLUSHALL');
if ($password) {
    refusals($redis);
}
strings($redis);
structures($redis);
transactions($redis, $other);
scans($redis);
scripts($redis);
serialized();
if ($withLocks) {
    locks($redis);
}
reconnect($redis);
echo "$checks checks\n";
