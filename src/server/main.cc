#include <csignal>
#include <cstdio>

#include "base/memory.h"
#include "server/config_loader.h"
#include "server/server.h"

int main(int argc, char** argv) {
  // A peer that is gone is an error of write(), not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  holdfast::Result<holdfast::server::LoadedConfig> loaded =
      holdfast::server::LoadConfig(argc, argv, environ);
  if (!loaded.ok()) {
    std::fprintf(stderr, "holdfast: %s\n", loaded.status().message().c_str());
    return 1;
  }
  if (loaded.value().exit) {
    std::fputs(loaded.value().text.c_str(), stdout);
    return 0;
  }
  holdfast::ReturnMemoryInBackground();
  holdfast::server::Server server(std::move(loaded).value());
  const holdfast::Status status = server.Start();
  if (!status.ok()) {
    std::fprintf(stderr, "holdfast: %s\n", status.message().c_str());
    return 1;
  }
  return server.Run();
}
