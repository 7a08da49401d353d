// The handlers of all session commands, by the file that defines them: they touch no key and run on
// the connection's own core (loop thread). Each writes one reply, or defers it; see
// engine/session_context.h.
#pragma once

namespace holdfast::engine {
class SessionContext;
}  // namespace holdfast::engine

namespace holdfast::commands {

// client.cc, client_admin.cc, client_tracking.cc
void ClientCaching(engine::SessionContext& ctx);
void ClientGetname(engine::SessionContext& ctx);
void ClientGetredir(engine::SessionContext& ctx);
void ClientId(engine::SessionContext& ctx);
void ClientInfo(engine::SessionContext& ctx);
void ClientKill(engine::SessionContext& ctx);
void ClientList(engine::SessionContext& ctx);
void ClientNoEvict(engine::SessionContext& ctx);
void ClientNoTouch(engine::SessionContext& ctx);
void ClientPause(engine::SessionContext& ctx);
void ClientReply(engine::SessionContext& ctx);
void ClientSetinfo(engine::SessionContext& ctx);
void ClientSetname(engine::SessionContext& ctx);
void ClientTracking(engine::SessionContext& ctx);
void ClientTrackinginfo(engine::SessionContext& ctx);
void ClientUnblock(engine::SessionContext& ctx);
void ClientUnpause(engine::SessionContext& ctx);

// cluster.cc
void ClusterInfo(engine::SessionContext& ctx);
void ClusterKeyslot(engine::SessionContext& ctx);
void ClusterMyid(engine::SessionContext& ctx);
void ClusterNodes(engine::SessionContext& ctx);
void ClusterReplicas(engine::SessionContext& ctx);

// command.cc, command_docs.cc
void CommandAll(engine::SessionContext& ctx);
void CommandCount(engine::SessionContext& ctx);
void CommandDocs(engine::SessionContext& ctx);
void CommandGetkeys(engine::SessionContext& ctx);
void CommandGetkeysandflags(engine::SessionContext& ctx);
void CommandInfo(engine::SessionContext& ctx);
void CommandList(engine::SessionContext& ctx);

// config.cc
void ConfigGet(engine::SessionContext& ctx);
void ConfigResetstat(engine::SessionContext& ctx);
void ConfigRewrite(engine::SessionContext& ctx);
void ConfigSet(engine::SessionContext& ctx);

// connection.cc
void Auth(engine::SessionContext& ctx);
void Echo(engine::SessionContext& ctx);
void Hello(engine::SessionContext& ctx);
void Ping(engine::SessionContext& ctx);
void Quit(engine::SessionContext& ctx);
void Reset(engine::SessionContext& ctx);
void Select(engine::SessionContext& ctx);

// debug.cc
void Debug(engine::SessionContext& ctx);

// help.cc: the HELP subcommand of any container.
void ContainerHelp(engine::SessionContext& ctx);

// info.cc
void Info(engine::SessionContext& ctx);

// latency.cc
void LatencyDoctor(engine::SessionContext& ctx);
void LatencyGraph(engine::SessionContext& ctx);
void LatencyHistogram(engine::SessionContext& ctx);
void LatencyHistory(engine::SessionContext& ctx);
void LatencyLatest(engine::SessionContext& ctx);
void LatencyReset(engine::SessionContext& ctx);

// memory.cc
void MemoryDoctor(engine::SessionContext& ctx);
void MemoryMallocStats(engine::SessionContext& ctx);
void MemoryPurge(engine::SessionContext& ctx);
void MemoryStats(engine::SessionContext& ctx);

// monitor.cc
void Monitor(engine::SessionContext& ctx);

// pubsub.cc
void Psubscribe(engine::SessionContext& ctx);
void Publish(engine::SessionContext& ctx);
void PubsubChannels(engine::SessionContext& ctx);
void PubsubNumpat(engine::SessionContext& ctx);
void PubsubNumsub(engine::SessionContext& ctx);
void PubsubShardchannels(engine::SessionContext& ctx);
void PubsubShardnumsub(engine::SessionContext& ctx);
void Punsubscribe(engine::SessionContext& ctx);
void Spublish(engine::SessionContext& ctx);
void Ssubscribe(engine::SessionContext& ctx);
void Subscribe(engine::SessionContext& ctx);
void Sunsubscribe(engine::SessionContext& ctx);
void Unsubscribe(engine::SessionContext& ctx);

// replication.cc
void Readonly(engine::SessionContext& ctx);
void Readwrite(engine::SessionContext& ctx);
void Role(engine::SessionContext& ctx);
void Wait(engine::SessionContext& ctx);
void Waitaof(engine::SessionContext& ctx);

// acl.cc
void AclCat(engine::SessionContext& ctx);
void AclDeluser(engine::SessionContext& ctx);
void AclDryrun(engine::SessionContext& ctx);
void AclGenpass(engine::SessionContext& ctx);
void AclGetuser(engine::SessionContext& ctx);
void AclList(engine::SessionContext& ctx);
void AclLoad(engine::SessionContext& ctx);
void AclLogShow(engine::SessionContext& ctx);
void AclSave(engine::SessionContext& ctx);
void AclSetuser(engine::SessionContext& ctx);
void AclUsers(engine::SessionContext& ctx);
void AclWhoami(engine::SessionContext& ctx);

// scripting.cc
void ScriptDebug(engine::SessionContext& ctx);
void ScriptExists(engine::SessionContext& ctx);
void ScriptFlush(engine::SessionContext& ctx);
void ScriptLoad(engine::SessionContext& ctx);
void Pfselftest(engine::SessionContext& ctx);  // hyperloglog.cc
void FunctionChange(engine::SessionContext& ctx);
void FunctionStats(engine::SessionContext& ctx);

// server.cc
void Bgsave(engine::SessionContext& ctx);
void Lastsave(engine::SessionContext& ctx);
void Lolwut(engine::SessionContext& ctx);
void Save(engine::SessionContext& ctx);
void Shutdown(engine::SessionContext& ctx);
void Time(engine::SessionContext& ctx);

// slowlog.cc
void SlowlogGet(engine::SessionContext& ctx);
void SlowlogLen(engine::SessionContext& ctx);
void SlowlogReset(engine::SessionContext& ctx);

// transactions.cc
void Discard(engine::SessionContext& ctx);
void Exec(engine::SessionContext& ctx);
void Multi(engine::SessionContext& ctx);
void Unwatch(engine::SessionContext& ctx);
void Watch(engine::SessionContext& ctx);

}  // namespace holdfast::commands
