#include "commands/deferred.h"

#include "base/check.h"

namespace holdfast::commands {

Deferred::Deferred(engine::SessionContext& ctx)
    : home_(&ctx.core),
      command_(&ctx.command),
      args_(ctx.args),
      address_(ctx.Defer()),
      protocol_(ctx.client.protocol),
      db_(ctx.client.db),
      client_address_(ctx.client.address),
      client_name_(ctx.client.name),
      begin_ns_(ctx.core.clock().MonotonicNs()) {
  ctx.accounts_itself = true;
}

std::shared_ptr<Deferred> Deferred::Make(engine::SessionContext& ctx) {
  return std::shared_ptr<Deferred>(new Deferred(ctx));
}

void Deferred::Finish(const std::function<void(resp::Writer&)>& write) {
  std::string reply;
  resp::Writer writer(&reply, protocol_);
  write(writer);
  CHECK(!reply.empty());
  engine::Caller caller;
  caller.db = db_;
  caller.protocol = protocol_;
  caller.address = client_address_;
  caller.name = client_name_;
  home_->CommandDone({command_, args_.args(), db_}, caller,
                     home_->clock().MonotonicNs() - begin_ns_, reply);
  home_->Deliver(address_, std::move(reply));
}

void OnAllCores(engine::Core& home, std::function<void(engine::Core&)> work,
                std::function<void()> done) {
  home.engine().Gather<char>(
      home,
      [work = std::move(work)](engine::Core& core) {
        work(core);
        return '\0';
      },
      [done = std::move(done)](std::vector<char>) { done(); });
}

void OnAllCores(engine::SessionContext& ctx, std::function<void(engine::Core&)> work) {
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  engine::Core& home = deferred->home();
  OnAllCores(home, std::move(work), [deferred] { deferred->FinishOk(); });
}

void FlushStores(engine::Core& home, std::function<void()> done) {
  engine::Engine* engine = &home.engine();
  const uint32_t home_number = home.number();
  struct State {
    uint32_t missing;
    std::function<void()> done;
  };
  auto state = std::make_shared<State>(State{engine->cores(), std::move(done)});
  for (uint32_t i = 0; i < engine->cores(); ++i) {
    home.Post(i, [engine, i, home_number, state] {
      engine->core(i).persister().Flush([engine, i, home_number, state] {
        // `state` is touched on the home core only.
        engine->core(i).Post(home_number, [state] {
          if (--state->missing == 0) state->done();
        });
      });
    });
  }
}

}  // namespace holdfast::commands
