// A session command whose reply comes after its handler returned: from other cores, a timer or the
// disk. It counts for statistics and slow log when it is over, as a whole.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/owned_args.h"
#include "engine/session_context.h"
#include "resp/writer.h"

namespace holdfast::commands {

// Made on the client's core, which may hand it around; Finish only there.
class Deferred {
 public:
  // Reserves the reply's place. The client takes no further request until Finish.
  static std::shared_ptr<Deferred> Make(engine::SessionContext& ctx);

  engine::Core& home() const { return *home_; }
  const engine::OwnedArgs& args() const { return args_; }
  uint64_t client_id() const { return address_.client; }
  // The client as of now; nullptr when it is gone.
  engine::Client* client() const { return home_->FindClient(address_.client); }

  // Replies what `write` writes. Once.
  void Finish(const std::function<void(resp::Writer&)>& write);
  void FinishOk() {
    Finish([](resp::Writer& reply) { reply.Ok(); });
  }
  void FinishError(std::string_view error) {
    Finish([error](resp::Writer& reply) { reply.Error(error); });
  }

 private:
  explicit Deferred(engine::SessionContext& ctx);

  engine::Core* const home_;
  const engine::Command* const command_;
  const engine::OwnedArgs args_;
  const engine::ReplyAddress address_;
  const int protocol_;
  const uint32_t db_;
  const std::string client_address_;
  const std::string client_name_;
  const int64_t begin_ns_;
};

// Runs `work` on every core and replies what `answer` makes of the results (one a core, in the
// cores' order), on the client's core.
template <typename T>
void GatherReply(engine::SessionContext& ctx, std::function<T(engine::Core&)> work,
                 std::function<void(std::vector<T>&, resp::Writer&)> answer) {
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  engine::Core& home = deferred->home();
  home.engine().Gather<T>(
      home, std::move(work),
      [deferred = std::move(deferred), answer = std::move(answer)](std::vector<T> results) {
        deferred->Finish([&results, &answer](resp::Writer& reply) { answer(results, reply); });
      });
}

// Runs `work` on every core and replies OK.
void OnAllCores(engine::SessionContext& ctx, std::function<void(engine::Core&)> work);

// Runs `work` on every core, then `done` on `home`.
void OnAllCores(engine::Core& home, std::function<void(engine::Core&)> work,
                std::function<void()> done);

// Writes everything committed so far to the stores of all cores, durably; then `done` runs on
// `home`.
void FlushStores(engine::Core& home, std::function<void()> done);

}  // namespace holdfast::commands
