#include "engine/redact.h"

#include "base/numbers.h"
#include "engine/config.h"

namespace holdfast::engine {
namespace {

// HELLO version AUTH user password.
bool IsHelloSecret(Args args, size_t i) {
  for (size_t back = 1; back <= 2 && i > back; ++back) {
    if (i - back >= 2 && EqualsIgnoreCase(args[i - back], "AUTH")) return true;
  }
  return false;
}

// CONFIG SET name value [name value …]. An option that isn't known may be a secret one with a slip
// in its name, or one of Redis's (masterauth).
bool IsConfigSecret(Args args, size_t i) {
  if (i < 3 || i % 2 == 0) return false;
  const Option* option = FindOption(args[i - 1]);
  return option == nullptr || (option->flags & kSecret) != 0;
}

// ACL DRYRUN user command [argument …].
bool IsDryrunSecret(Args args, size_t i) {
  if (i < 4) return false;
  for (const std::string_view name : {"auth", "hello", "acl", "config", "cluster"}) {
    if (EqualsIgnoreCase(args[3], name)) return true;
  }
  return false;
}

}  // namespace

bool IsSecret(const Command& command, Args args, size_t i) {
  if (command.parent.empty()) {
    if (command.name == "auth") return i > 0;
    if (command.name == "hello") return IsHelloSecret(args, i);
    return false;
  }
  // Rules may hold passwords, and as in Redis nothing of them is shown.
  if (command.parent == "acl" && command.name == "setuser") return i > 1;
  if (command.parent == "acl" && command.name == "dryrun") return IsDryrunSecret(args, i);
  if (command.parent == "cluster" && command.name == "setusers") return i > 1;
  return command.parent == "config" && command.name == "set" && IsConfigSecret(args, i);
}

void AppendQuoted(std::string_view text, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  for (const char c : text) {
    switch (c) {
      case '\\':
      case '"':
        out->push_back('\\');
        out->push_back(c);
        break;
      case '\n':
        out->append("\\n");
        break;
      case '\r':
        out->append("\\r");
        break;
      case '\t':
        out->append("\\t");
        break;
      case '\a':
        out->append("\\a");
        break;
      case '\b':
        out->append("\\b");
        break;
      default:
        if (c >= ' ' && c <= '~') {
          out->push_back(c);
        } else {
          const auto byte = static_cast<unsigned char>(c);
          out->append("\\x");
          out->push_back(kHex[byte >> 4]);
          out->push_back(kHex[byte & 15]);
        }
    }
  }
  out->push_back('"');
}

}  // namespace holdfast::engine
