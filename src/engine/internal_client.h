// The node itself as a client: runs commands the way a connection does, wherever their partition
// is led. Loop thread of its core only.
#pragma once

#include <absl/functional/any_invocable.h>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "engine/client.h"
#include "resp/reply_parser.h"

namespace holdfast::engine {

class InternalClient final : public Client {
 public:
  explicit InternalClient(Core* the_core);
  ~InternalClient() override;

  // Runs the command; `done` gets its reply, later or at once. Calls are answered in their order.
  void Call(const std::vector<std::string>& args,
            absl::AnyInvocable<void(const resp::Reply&)> done);
  // The same on a partition, with the command's data handler, whatever its route is.
  void CallOn(uint32_t partition, const Command& command, const std::vector<std::string>& args,
              absl::AnyInvocable<void(const resp::Reply&)> done);
  // Calls without an answer yet.
  size_t pending() const { return calls_.size(); }

  // ---- Client
  void Flush() override;
  void Close(std::string_view) override {}
  void Resume() override { Run(); }
  size_t input_bytes() const override { return 0; }
  size_t output_bytes() const override { return replies.bytes() + replies_.size(); }

 private:
  struct PendingCall {
    std::vector<std::string> args;
    absl::AnyInvocable<void(const resp::Reply&)> done;
    // Not null: of CallOn.
    const Command* command = nullptr;
    uint32_t partition = 0;
  };
  // Hands calls to the dispatcher until one has to wait.
  void Run();

  std::deque<PendingCall> calls_;
  size_t started_ = 0;  // of calls_, those that the dispatcher has
  std::string replies_;
  resp::ReplyParser parser_;
};

}  // namespace holdfast::engine
