// The handlers of all data commands, by the file that defines them. Loop thread of the core that
// owns the partition of the keys. Each writes exactly one reply, or blocks; see engine/context.h.
#pragma once

namespace holdfast::engine {
class ExecContext;
}  // namespace holdfast::engine

namespace holdfast::commands {

// bitfield.cc
void Bitfield(engine::ExecContext& ctx);
void BitfieldRo(engine::ExecContext& ctx);

// bitops.cc
void Bitcount(engine::ExecContext& ctx);
void Bitop(engine::ExecContext& ctx);
void Bitpos(engine::ExecContext& ctx);
void Getbit(engine::ExecContext& ctx);
void Setbit(engine::ExecContext& ctx);

// cas.cc
void Cas(engine::ExecContext& ctx);
void Casrev(engine::ExecContext& ctx);
void Delex(engine::ExecContext& ctx);
void Delifeq(engine::ExecContext& ctx);
void Digest(engine::ExecContext& ctx);
void Extend(engine::ExecContext& ctx);
void Getrev(engine::ExecContext& ctx);
void Msetex(engine::ExecContext& ctx);

// cluster.cc
void ClusterAddnode(engine::ExecContext& ctx);
void ClusterRemovenode(engine::ExecContext& ctx);
void ClusterSetnode(engine::ExecContext& ctx);
void ClusterSetoption(engine::ExecContext& ctx);
void ClusterSetusers(engine::ExecContext& ctx);
void ClusterSetpartition(engine::ExecContext& ctx);
void ClusterTransfer(engine::ExecContext& ctx);

// replication.cc
void ClusterWait(engine::ExecContext& ctx);

// databases.cc
void Dbsize(engine::ExecContext& ctx);
void Flushall(engine::ExecContext& ctx);
void Flushdb(engine::ExecContext& ctx);
void Keys(engine::ExecContext& ctx);
void Randomkey(engine::ExecContext& ctx);
void Scan(engine::ExecContext& ctx);
void Swapdb(engine::ExecContext& ctx);

// dump_restore.cc
void Dump(engine::ExecContext& ctx);
void Restore(engine::ExecContext& ctx);

// expiry.cc
void Expire(engine::ExecContext& ctx);
void Expireat(engine::ExecContext& ctx);
void Expiretime(engine::ExecContext& ctx);
void Persist(engine::ExecContext& ctx);
void Pexpire(engine::ExecContext& ctx);
void Pexpireat(engine::ExecContext& ctx);
void Pexpiretime(engine::ExecContext& ctx);
void Pttl(engine::ExecContext& ctx);
void Ttl(engine::ExecContext& ctx);

// geo.cc
void Geoadd(engine::ExecContext& ctx);
void Geodist(engine::ExecContext& ctx);
void Geohash(engine::ExecContext& ctx);
void Geopos(engine::ExecContext& ctx);
void Georadius(engine::ExecContext& ctx);
void GeoradiusRo(engine::ExecContext& ctx);
void Georadiusbymember(engine::ExecContext& ctx);
void GeoradiusbymemberRo(engine::ExecContext& ctx);
void Geosearch(engine::ExecContext& ctx);
void Geosearchstore(engine::ExecContext& ctx);

// hashes.cc
void Hdel(engine::ExecContext& ctx);
void Hexists(engine::ExecContext& ctx);
void Hget(engine::ExecContext& ctx);
void Hgetall(engine::ExecContext& ctx);
void Hincrby(engine::ExecContext& ctx);
void Hincrbyfloat(engine::ExecContext& ctx);
void Hkeys(engine::ExecContext& ctx);
void Hlen(engine::ExecContext& ctx);
void Hmget(engine::ExecContext& ctx);
void Hmset(engine::ExecContext& ctx);
void Hrandfield(engine::ExecContext& ctx);
void Hscan(engine::ExecContext& ctx);
void Hset(engine::ExecContext& ctx);
void Hsetnx(engine::ExecContext& ctx);
void Hstrlen(engine::ExecContext& ctx);
void Hvals(engine::ExecContext& ctx);

// keys.cc
void Copy(engine::ExecContext& ctx);
void Del(engine::ExecContext& ctx);
void Exists(engine::ExecContext& ctx);
void Move(engine::ExecContext& ctx);
void Rename(engine::ExecContext& ctx);
void Renamenx(engine::ExecContext& ctx);
void Touch(engine::ExecContext& ctx);
void Type(engine::ExecContext& ctx);

// lcs.cc
void Lcs(engine::ExecContext& ctx);

// lists.cc
void Blmove(engine::ExecContext& ctx);
void Blmpop(engine::ExecContext& ctx);
void Blpop(engine::ExecContext& ctx);
void Brpop(engine::ExecContext& ctx);
void Brpoplpush(engine::ExecContext& ctx);
void Lindex(engine::ExecContext& ctx);
void Linsert(engine::ExecContext& ctx);
void Llen(engine::ExecContext& ctx);
void Lmove(engine::ExecContext& ctx);
void Lmpop(engine::ExecContext& ctx);
void Lpop(engine::ExecContext& ctx);
void Lpos(engine::ExecContext& ctx);
void Lpush(engine::ExecContext& ctx);
void Lpushx(engine::ExecContext& ctx);
void Lrange(engine::ExecContext& ctx);
void Lrem(engine::ExecContext& ctx);
void Lset(engine::ExecContext& ctx);
void Ltrim(engine::ExecContext& ctx);
void Rpop(engine::ExecContext& ctx);
void Rpoplpush(engine::ExecContext& ctx);
void Rpush(engine::ExecContext& ctx);
void Rpushx(engine::ExecContext& ctx);

// locks.cc
void Lock(engine::ExecContext& ctx);
void Lockinfo(engine::ExecContext& ctx);
void Unlock(engine::ExecContext& ctx);

// debug_object.cc
void DebugObject(engine::ExecContext& ctx);

// object.cc
void MemoryUsage(engine::ExecContext& ctx);
void ObjectEncoding(engine::ExecContext& ctx);
void ObjectFreq(engine::ExecContext& ctx);
void ObjectIdletime(engine::ExecContext& ctx);
void ObjectRefcount(engine::ExecContext& ctx);

// scripting.cc
void Eval(engine::ExecContext& ctx);
void EvalRo(engine::ExecContext& ctx);
void Evalsha(engine::ExecContext& ctx);
void EvalshaRo(engine::ExecContext& ctx);
void ScriptKill(engine::ExecContext& ctx);
void Fcall(engine::ExecContext& ctx);
void FcallRo(engine::ExecContext& ctx);
void FunctionDump(engine::ExecContext& ctx);
void FunctionKill(engine::ExecContext& ctx);
void FunctionList(engine::ExecContext& ctx);
// On the meta partition: what changes libraries. Answer [revision, reply]; see
// script::Scripting::Change.
void ApplyFunctionDelete(engine::ExecContext& ctx);
void ApplyFunctionFlush(engine::ExecContext& ctx);
void ApplyFunctionLoad(engine::ExecContext& ctx);
void ApplyFunctionRestore(engine::ExecContext& ctx);

// sequences.cc
void Seqcreate(engine::ExecContext& ctx);
void Seqinfo(engine::ExecContext& ctx);
void Seqnext(engine::ExecContext& ctx);

// sets.cc
void Sadd(engine::ExecContext& ctx);
void Scard(engine::ExecContext& ctx);
void Sdiff(engine::ExecContext& ctx);
void Sdiffstore(engine::ExecContext& ctx);
void Sinter(engine::ExecContext& ctx);
void Sintercard(engine::ExecContext& ctx);
void Sinterstore(engine::ExecContext& ctx);
void Sismember(engine::ExecContext& ctx);
void Smembers(engine::ExecContext& ctx);
void Smismember(engine::ExecContext& ctx);
void Smove(engine::ExecContext& ctx);
void Spop(engine::ExecContext& ctx);
void Srandmember(engine::ExecContext& ctx);
void Srem(engine::ExecContext& ctx);
void Sscan(engine::ExecContext& ctx);
void Sunion(engine::ExecContext& ctx);
void Sunionstore(engine::ExecContext& ctx);

// hyperloglog.cc
void Pfadd(engine::ExecContext& ctx);
void Pfcount(engine::ExecContext& ctx);
void Pfdebug(engine::ExecContext& ctx);
void Pfmerge(engine::ExecContext& ctx);

// sort.cc
void Sort(engine::ExecContext& ctx);
void SortRo(engine::ExecContext& ctx);

// sorted_sets.cc
void Zadd(engine::ExecContext& ctx);
void Zcard(engine::ExecContext& ctx);
void Zincrby(engine::ExecContext& ctx);
void Zmscore(engine::ExecContext& ctx);
void Zrandmember(engine::ExecContext& ctx);
void Zrank(engine::ExecContext& ctx);
void Zrem(engine::ExecContext& ctx);
void Zrevrank(engine::ExecContext& ctx);
void Zscan(engine::ExecContext& ctx);
void Zscore(engine::ExecContext& ctx);

// sorted_set_algebra.cc
void Zdiff(engine::ExecContext& ctx);
void Zdiffstore(engine::ExecContext& ctx);
void Zinter(engine::ExecContext& ctx);
void Zintercard(engine::ExecContext& ctx);
void Zinterstore(engine::ExecContext& ctx);
void Zunion(engine::ExecContext& ctx);
void Zunionstore(engine::ExecContext& ctx);

// sorted_set_pops.cc
void Bzmpop(engine::ExecContext& ctx);
void Bzpopmax(engine::ExecContext& ctx);
void Bzpopmin(engine::ExecContext& ctx);
void Zmpop(engine::ExecContext& ctx);
void Zpopmax(engine::ExecContext& ctx);
void Zpopmin(engine::ExecContext& ctx);

// sorted_set_ranges.cc
void Zcount(engine::ExecContext& ctx);
void Zlexcount(engine::ExecContext& ctx);
void Zrange(engine::ExecContext& ctx);
void Zrangebylex(engine::ExecContext& ctx);
void Zrangebyscore(engine::ExecContext& ctx);
void Zrangestore(engine::ExecContext& ctx);
void Zremrangebylex(engine::ExecContext& ctx);
void Zremrangebyrank(engine::ExecContext& ctx);
void Zremrangebyscore(engine::ExecContext& ctx);
void Zrevrange(engine::ExecContext& ctx);
void Zrevrangebylex(engine::ExecContext& ctx);
void Zrevrangebyscore(engine::ExecContext& ctx);

// streams.cc, stream_groups.cc, stream_info.cc, stream_reads.cc
void Xack(engine::ExecContext& ctx);
void Xadd(engine::ExecContext& ctx);
void Xautoclaim(engine::ExecContext& ctx);
void Xclaim(engine::ExecContext& ctx);
void Xdel(engine::ExecContext& ctx);
void XgroupCreate(engine::ExecContext& ctx);
void XgroupCreateconsumer(engine::ExecContext& ctx);
void XgroupDelconsumer(engine::ExecContext& ctx);
void XgroupDestroy(engine::ExecContext& ctx);
void XgroupSetid(engine::ExecContext& ctx);
void XinfoConsumers(engine::ExecContext& ctx);
void XinfoGroups(engine::ExecContext& ctx);
void XinfoStream(engine::ExecContext& ctx);
void Xlen(engine::ExecContext& ctx);
void Xpending(engine::ExecContext& ctx);
void Xrange(engine::ExecContext& ctx);
void Xread(engine::ExecContext& ctx);
void Xreadgroup(engine::ExecContext& ctx);
void Xrevrange(engine::ExecContext& ctx);
void Xsetid(engine::ExecContext& ctx);
void Xtrim(engine::ExecContext& ctx);

// strings.cc
void Append(engine::ExecContext& ctx);
void Decr(engine::ExecContext& ctx);
void Decrby(engine::ExecContext& ctx);
void Get(engine::ExecContext& ctx);
void Getdel(engine::ExecContext& ctx);
void Getex(engine::ExecContext& ctx);
void Getrange(engine::ExecContext& ctx);  // and SUBSTR
void Getset(engine::ExecContext& ctx);
void Incr(engine::ExecContext& ctx);
void Incrby(engine::ExecContext& ctx);
void Incrbyfloat(engine::ExecContext& ctx);
void Mget(engine::ExecContext& ctx);
void Mset(engine::ExecContext& ctx);
void Msetnx(engine::ExecContext& ctx);
void Psetex(engine::ExecContext& ctx);
void Set(engine::ExecContext& ctx);
void Setex(engine::ExecContext& ctx);
void Setnx(engine::ExecContext& ctx);
void Setrange(engine::ExecContext& ctx);
void Strlen(engine::ExecContext& ctx);

}  // namespace holdfast::commands
