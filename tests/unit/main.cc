// The one main() of the doctest binaries: unit tests and raft scenarios.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
