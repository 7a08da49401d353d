# frozen_string_literal: true

# redis-rb: ruby ruby_redis.rb <port> [words]. See common.js for the agreement with tests/clients/run.

require 'redis'

PORT = Integer(ARGV[0])
WITH_LOCKS = !ARGV.include?('no-locks')
$checks = 0

def equal(actual, expected)
  raise "expected #{expected.inspect}, got #{actual.inspect}" unless actual == expected

  $checks += 1
end

def fails(kind, text)
  yield
rescue kind => e
  equal(e.message.include?(text), true)
else
  raise "it didn't fail with #{text}"
end

def wait_for(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 30
  until yield
    raise "waited in vain for: #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

    sleep(0.005)
  end
end

TLS = if (folder = ENV['CLIENTS_TLS'])
        files = { ca_file: 'ca.crt', cert: 'client.crt', key: 'client.key' }.transform_values { |name| "#{folder}/#{name}" }
        cert = OpenSSL::X509::Certificate.new(File.read(files[:cert]))
        key = OpenSSL::PKey.read(File.read(files[:key]))
        { ssl: true, ssl_params: { ca_file: files[:ca_file], cert: cert, key: key } }
      else
        {}
      end

LOGIN = ENV['CLIENTS_USER'] ? { username: ENV['CLIENTS_USER'], password: ENV.fetch('CLIENTS_PASSWORD') } : {}.freeze

def connect(**options)
  Redis.new(host: '127.0.0.1', port: PORT, timeout: 30, **TLS, **LOGIN, **options)
end

def order(what)
  $stdout.puts(what)
  $stdout.flush
  $stdin.gets
end

def strings(redis)
  equal(redis.ping, 'PONG')
  equal(redis.set('key', 'value'), 'OK')
  equal(redis.get('key'), 'value')
  equal(redis.get('missing'), nil)
  equal(redis.set('key', 'x', nx: true), false)
  equal(redis.set('key', 'new', xx: true, get: true), 'value')
  equal(redis.append('key', 'er'), 5)
  equal(redis.mset('a', '1', 'b', '2'), 'OK')
  equal(redis.mapped_mget('a', 'missing', 'b'), { 'a' => '1', 'missing' => nil, 'b' => '2' })
  equal(redis.incrby('a', 41), 42)
  equal(redis.incrbyfloat('a', 0.5), 42.5)
  equal(redis.del('a', 'b', 'missing'), 2)
  binary = (0..255).map(&:chr).join.b
  equal(redis.set(binary, binary), 'OK')
  equal(redis.get(binary).b, binary)
  long = 'x' * 3_000_000
  equal(redis.set('long', long), 'OK')
  equal(redis.get('long') == long, true)
  equal(redis.set('e', '1', ex: 100), 'OK')
  equal(redis.ttl('e') > 90, true)
  equal(redis.persist('e'), true)
  equal(redis.pexpire('e', 30), true)
  wait_for('it expires') { redis.get('e').nil? }
end

def structures(redis)
  equal(redis.mapped_hmset('hash', { 'f' => '1', 'g' => '2' }), 'OK')
  equal(redis.hgetall('hash'), { 'f' => '1', 'g' => '2' })
  equal(redis.hincrby('hash', 'f', 4), 5)
  equal(redis.rpush('list', %w[a b c]), 3)
  equal(redis.lmove('list', 'moved', 'LEFT', 'RIGHT'), 'a')
  equal(redis.lrange('list', 0, -1), %w[b c])
  equal(redis.sadd('set', %w[x y]), 2)
  equal(redis.smembers('set').sort, %w[x y])
  equal(redis.zadd('zset', [[1.5, 'one'], [2, 'two']]), 2)
  equal(redis.zrange('zset', 0, -1, with_scores: true), [['one', 1.5], ['two', 2.0]])
  equal(redis.zpopmin('zset'), ['one', 1.5])
  id = redis.xadd('stream', { f: 'v' })
  equal(redis.xrange('stream'), [[id, { 'f' => 'v' }]])
  equal(redis.xgroup(:create, 'stream', 'group', '0'), 'OK')
  equal(redis.xreadgroup('group', 'me', 'stream', '>'), { 'stream' => [[id, { 'f' => 'v' }]] })
  equal(redis.xack('stream', 'group', id), 1)
end

# As a queue: each element to one of those who wait, in the order in which they came.
def queues(redis)
  received = Queue.new
  waiters = Array.new(3) do |i|
    thread = Thread.new { connect.then { |own| received << [i, own.brpop('queue', timeout: 30)] } }
    wait_for('it waits') { redis.info('clients')['blocked_clients'].to_i == i + 1 }
    thread
  end
  3.times { |i| redis.lpush('queue', "job #{i}") }
  waiters.each { |thread| thread.join(30) }
  equal(Array.new(3) { received.pop }.sort, Array.new(3) { |i| [i, ['queue', "job #{i}"]] })
  equal(redis.blpop('queue', timeout: 0.05), nil)
end

def transactions(redis, other)
  replies = redis.multi do |t|
    t.set('t', '1')
    t.incr('t')
    t.get('t')
  end
  equal(replies, ['OK', 2, '2'])
  lost = redis.watch('t') do
    other.set('t', 'theirs')
    redis.multi { |t| t.set('t', 'mine') }
  end
  equal(lost, nil)
  equal(redis.get('t'), 'theirs')
  replies = redis.pipelined do |pipeline|
    2000.times do |i|
      pipeline.set("p:#{i}", i)
      pipeline.get("p:#{i}")
    end
  end
  equal(replies, (0...2000).flat_map { |i| ['OK', i.to_s] })
  equal(redis.scan_each(match: 'p:*', count: 100).uniq.size, 2000)
end

def pubsub(redis)
  heard = Queue.new
  listener = Thread.new do
    own = connect
    own.psubscribe('news:*') do |on|
      on.psubscribe { heard << 'listening' }
      on.pmessage do |_, channel, message|
        heard << [channel, message]
        own.punsubscribe if message == 'last'
      end
    end
    heard << own.ping # it is a connection like any other again
  end
  equal(heard.pop, 'listening')
  equal(redis.publish('news:a', 'first'), 1)
  equal(redis.publish('news:b', 'last'), 1)
  listener.join(30)
  equal(Array.new(3) { heard.pop }, [['news:a', 'first'], ['news:b', 'last'], 'PONG'])
end

def scripts(redis)
  sha = redis.script(:load, "return {redis.call('incrby', KEYS[1], ARGV[1]), KEYS[1]}")
  equal(redis.evalsha(sha, ['added'], [5]), [5, 'added'])
  equal(redis.eval('return ARGV[1]', argv: ['v']), 'v')
  equal(redis.script(:exists, [sha, 'f' * 40]), [true, false])
  fails(Redis::CommandError, 'NOSCRIPT') { redis.evalsha('f' * 40) }
  fails(Redis::CommandError, 'not an integer') { redis.incr('key') }
  fails(Redis::CommandError, 'unknown command') { redis.call('NOSUCH') }
  third = connect(db: 3, id: 'in-three')
  equal(third.exists?('key'), false)
  equal(third.client(:getname), 'in-three')
  third.close
  equal(redis.info['redis_mode'], 'standalone')
end

def locks(redis, other)
  token = redis.call('LOCK', 'lock', 'me', 60_000)
  equal(token.is_a?(Integer) && token.positive?, true)
  waiting = Thread.new { other.call('LOCK', 'lock', 'you', 60_000, 'WAIT', 30_000) }
  wait_for('the other one waits') { redis.info('clients')['blocked_clients'] == '1' }
  equal(redis.call('UNLOCK', 'lock', 'me'), 1)
  equal(waiting.value > token, true)
  equal(redis.call('SET', 'guarded', 'x', 'FENCE', waiting.value), 'OK')
  fails(Redis::CommandError, 'FENCED') { redis.call('SET', 'guarded', 'y', 'FENCE', token) }
  equal(redis.call('SEQNEXT', 'numbers', 'COUNT', 3), [1, 3])
end

# What the user of --acl may not do, and what nobody and somebody else is told.
def refusals(redis)
  fails(Redis::CommandError, 'NOPERM') { redis.get('!key') }
  fails(Redis::CommandError, 'NOPERM') { redis.publish('!news', 'x') }
  fails(Redis::CommandError, "NOPERM this user has no permissions to run the 'config|set' command") do
    redis.config(:set, 'timeout', 0)
  end
  fails(Redis::CommandError, 'NOAUTH') { connect(username: nil, password: nil).get('key') }
  fails(Redis::CommandError, 'WRONGPASS') { connect(password: 'wrong').get('key') }
end

def reconnect(redis)
  equal(redis.set('kept', 'over the restart'), 'OK')
  order('RESTART')
  # It connects again by itself.
  equal(redis.get('kept'), 'over the restart')
end

redis = connect
other = connect
order('FLUSHALL')
refusals(redis) unless LOGIN.empty?
strings(redis)
structures(redis)
queues(redis)
transactions(redis, other)
pubsub(redis)
scripts(redis)
locks(redis, other) if WITH_LOCKS
reconnect(redis)
puts "#{$checks} checks"
