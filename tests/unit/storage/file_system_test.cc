#include "storage/file_system.h"

#include <functional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "storage/sim_file_system.h"
#include "test_files.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::storage {
namespace {

using Mode = FileSystem::OpenMode;

std::unique_ptr<WritableFile> MustOpen(FileSystem* fs, const std::string& path,
                                       Mode mode = Mode::kTruncate) {
  auto file = fs->OpenForWriting(path, mode);
  REQUIRE(file.status().message() == "");
  return std::move(file).value();
}

void Write(FileSystem* fs, const std::string& path, std::string_view bytes, bool sync) {
  auto file = MustOpen(fs, path);
  REQUIRE(file->Append(bytes).ok());
  if (sync) REQUIRE(file->Sync().ok());
}

std::string Read(FileSystem* fs, const std::string& path) {
  auto bytes = ReadFile(fs, path);
  return bytes.ok() ? bytes.value() : "(" + bytes.status().message() + ")";
}

// What both implementations must do alike.
void ForBoth(const std::function<void(FileSystem* fs, const std::string& directory)>& test) {
  SUBCASE("POSIX") {
    const ScratchDirectory scratch;
    test(PosixFileSystem(), scratch.path());
  }
  SUBCASE("simulated") {
    SimFileSystem fs;
    REQUIRE(fs.CreateDirectory("/d").ok());
    test(&fs, "/d");
  }
}

TEST_CASE("files are written at offsets, appended to, truncated and read in ranges") {
  ForBoth([](FileSystem* fs, const std::string& d) {
    const std::string path = d + "/f";
    {
      auto file = MustOpen(fs, path);
      const std::vector<std::string_view> parts = {"ab", "", "cd", "e"};
      REQUIRE(file->WriteAt(0, parts).ok());
      const std::string_view far = "X";
      REQUIRE(file->WriteAt(8, {&far, 1}).ok());
      REQUIRE(file->WriteAt(1, {&far, 1}).ok());
      REQUIRE(file->Sync().ok());
      REQUIRE(file->Close().ok());
    }
    CHECK(Read(fs, path) == std::string("aXcde\0\0\0X", 9));
    {
      auto file = MustOpen(fs, path, Mode::kKeep);
      REQUIRE(file->Append("YZ").ok());
      REQUIRE(file->Append("!").ok());
    }
    CHECK(fs->FileSize(path).value() == 12);
    CHECK(ReadFileRange(fs, path, 8, 3).value() == "XYZ");
    CHECK(ReadFileRange(fs, path, 10, 100).value() == "Z!");
    CHECK(ReadFileRange(fs, path, 100, 1).value() == "");
    CHECK(ReadFile(fs, path, 11).status().code() == Code::kNoSpace);
    REQUIRE(fs->Truncate(path, 3).ok());
    CHECK(Read(fs, path) == "aXc");
    REQUIRE(fs->Truncate(path, 5).ok());
    CHECK(Read(fs, path) == std::string("aXc\0\0", 5));
    CHECK(MustOpen(fs, path) != nullptr);
    CHECK(Read(fs, path) == "");
  });
}

TEST_CASE("more parts than one system call takes are all written") {
  ForBoth([](FileSystem* fs, const std::string& d) {
    std::vector<std::string> parts;
    std::string expected;
    for (int i = 0; i < 1000; ++i) {
      parts.push_back(std::string(static_cast<size_t>(i % 7), static_cast<char>('a' + i % 26)));
      expected += parts.back();
    }
    const std::vector<std::string_view> views(parts.begin(), parts.end());
    REQUIRE(MustOpen(fs, d + "/f")->WriteAt(0, views).ok());
    CHECK(Read(fs, d + "/f") == expected);
  });
}

TEST_CASE("names: listing, renaming, removing, missing ones") {
  ForBoth([](FileSystem* fs, const std::string& d) {
    CHECK(fs->List(d + "/none").status().code() == Code::kNotFound);
    CHECK(fs->OpenForReading(d + "/none").status().code() == Code::kNotFound);
    CHECK(fs->OpenForWriting(d + "/none/f", Mode::kTruncate).status().code() == Code::kNotFound);
    CHECK(fs->FileSize(d + "/none").status().code() == Code::kNotFound);
    CHECK(fs->Remove(d + "/none").code() == Code::kNotFound);
    CHECK(fs->Rename(d + "/none", d + "/x").code() == Code::kNotFound);
    CHECK(fs->Truncate(d + "/none", 0).code() == Code::kNotFound);
    CHECK(fs->SyncDirectory(d + "/none").code() == Code::kNotFound);
    CHECK_FALSE(fs->Exists(d + "/none").value());

    Write(fs, d + "/b", "b", false);
    Write(fs, d + "/a", "a", false);
    REQUIRE(fs->CreateDirectory(d + "/c").ok());
    REQUIRE(fs->CreateDirectory(d + "/c").ok());
    Write(fs, d + "/c/inner", "i", false);
    CHECK(fs->List(d).value() == std::vector<std::string>{"a", "b", "c"});
    CHECK(fs->Exists(d + "/c").value());
    CHECK_FALSE(fs->OpenForWriting(d + "/a", Mode::kCreateNew).ok());
    CHECK_FALSE(fs->CreateDirectory(d + "/a").ok());
    CHECK_FALSE(fs->RemoveDirectory(d + "/c").ok());

    REQUIRE(fs->Rename(d + "/a", d + "/b").ok());
    CHECK(Read(fs, d + "/b") == "a");
    REQUIRE(fs->Rename(d + "/c", d + "/e").ok());
    CHECK(Read(fs, d + "/e/inner") == "i");
    CHECK(fs->List(d).value() == std::vector<std::string>{"b", "e"});
    REQUIRE(RemoveTree(fs, d + "/e").ok());
    REQUIRE(RemoveTree(fs, d + "/e").ok());
    REQUIRE(fs->Remove(d + "/b").ok());
    CHECK(fs->List(d).value().empty());
    CHECK(fs->FreeBytes(d).value() > 0);
  });
}

TEST_CASE("a lock excludes a second one until it is given back") {
  ForBoth([](FileSystem* fs, const std::string& d) {
    auto lock = fs->Lock(d + "/lock");
    REQUIRE(lock.ok());
    CHECK(fs->Lock(d + "/lock").status().code() == Code::kInvalidArgument);
    lock.value().reset();
    CHECK(fs->Lock(d + "/lock").ok());
  });
}

TEST_CASE("a file is replaced as a whole") {
  ForBoth([](FileSystem* fs, const std::string& d) {
    REQUIRE(WriteFileAtomically(fs, d + "/f", "one").ok());
    REQUIRE(WriteFileAtomically(fs, d + "/f", "second").ok());
    CHECK(Read(fs, d + "/f") == "second");
    CHECK(fs->List(d).value() == std::vector<std::string>{"f"});
  });
  CHECK(DirectoryOf("a/b") == "a");
  CHECK(DirectoryOf("b") == ".");
  CHECK(DirectoryOf("/b") == "/");
}

TEST_CASE("simulated: bytes survive a crash when synced, names when their directory was") {
  SimFileSystem fs;
  REQUIRE(fs.CreateDirectory("/d").ok());
  REQUIRE(fs.SyncDirectory("/").ok());
  Write(&fs, "/d/bytes", "kept", true);
  Write(&fs, "/d/empty", "lost", false);
  REQUIRE(fs.SyncDirectory("/d").ok());
  Write(&fs, "/d/name", "lost", true);
  Write(&fs, "/d/bytes2", "x", true);
  fs.CrashLosingAll();
  CHECK(fs.List("/d").value() == std::vector<std::string>{"bytes", "empty"});
  CHECK(Read(&fs, "/d/bytes") == "kept");
  CHECK(Read(&fs, "/d/empty") == "");
  // A removal that was not synced comes back, and so does the old name of a rename.
  REQUIRE(fs.Remove("/d/empty").ok());
  REQUIRE(fs.Rename("/d/bytes", "/d/new").ok());
  fs.CrashLosingAll();
  CHECK(fs.List("/d").value() == std::vector<std::string>{"bytes", "empty"});
}

TEST_CASE("simulated: a rename happens as a whole or not at all") {
  bool kept = false;
  bool lost = false;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SimFileSystem fs;
    fs.SetContents("/d/from/f", "x");
    fs.SetContents("/d/a", "a");
    REQUIRE(fs.Rename("/d/from", "/d/to").ok());
    REQUIRE(fs.Rename("/d/a", "/d/b").ok());
    Rng rng(seed);
    fs.Crash(&rng);
    const bool moved = fs.Exists("/d/to").value();
    CHECK(fs.Exists("/d/from").value() != moved);
    CHECK(fs.Contents(moved ? "/d/to/f" : "/d/from/f") == "x");
    CHECK(fs.Exists("/d/a").value() != fs.Exists("/d/b").value());
    (moved ? kept : lost) = true;
    // Synced, it is certain.
    REQUIRE(fs.Rename(moved ? "/d/to" : "/d/from", "/d/final").ok());
    REQUIRE(fs.SyncDirectory("/d").ok());
    fs.CrashLosingAll();
    CHECK(fs.Contents("/d/final/f") == "x");
    CHECK_FALSE(fs.Exists("/d/to").value());
    CHECK_FALSE(fs.Exists("/d/from").value());
  }
  CHECK(kept);
  CHECK(lost);
}

TEST_CASE("simulated: unsynced sectors survive in any subset, synced ones always") {
  const std::string old(2048, 'o');
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SimFileSystem fs;
    fs.SetContents("/f", old);
    auto file = MustOpen(&fs, "/f", Mode::kKeep);
    const std::string fresh(1536, 'n');
    const std::string_view part = fresh;
    REQUIRE(file->WriteAt(512, {&part, 1}).ok());
    Rng rng(seed);
    fs.Crash(&rng);
    const std::string after = Read(&fs, "/f");
    REQUIRE(after.size() == 2048);
    CHECK(after.substr(0, 512) == old.substr(0, 512));
    std::string kinds;
    for (size_t s = 0; s < 4; ++s) {
      CHECK(after.substr(s * 512, 512) == std::string(512, after[s * 512]));
      kinds += after[s * 512];
    }
    outcomes.insert(kinds);
    CHECK_FALSE(file->Append("x").ok());  // the handle died with the machine
    Rng same(seed);
    SimFileSystem again;
    again.SetContents("/f", old);
    REQUIRE(MustOpen(&again, "/f", Mode::kKeep)->WriteAt(512, {&part, 1}).ok());
    again.Crash(&same);
    CHECK(Read(&again, "/f") == after);
  }
  CHECK(outcomes.size() == 8);
}

TEST_CASE("P40 simulated: after a failed sync the bytes can be read but never become durable") {
  SimFileSystem fs;
  fs.SetContents("/f", "");
  auto file = MustOpen(&fs, "/f", Mode::kKeep);
  REQUIRE(file->Append("gone").ok());
  fs.FailNth(FileCall::kSync, 1, Fault::kIoError);
  CHECK(file->Sync().code() == Code::kIoError);
  CHECK(fs.fault_happened());
  CHECK(file->Sync().ok());
  CHECK(Read(&fs, "/f") == "gone");
  fs.KillProcess();
  CHECK(Read(&fs, "/f") == "gone");
  fs.CrashLosingAll();
  CHECK(Read(&fs, "/f") == "");
}

TEST_CASE("simulated: faults hit the call they were meant for") {
  SimFileSystem fs;
  fs.SetContents("/d/f", "");
  auto file = MustOpen(&fs, "/d/f", Mode::kKeep);
  fs.FailNth(2, Fault::kNoSpace);
  CHECK(file->Append("a").ok());
  CHECK(fs.FileSize("/d/f").ok());  // not counted
  CHECK(file->Append("b").code() == Code::kNoSpace);
  CHECK(file->Append("c").ok());
  CHECK(Read(&fs, "/d/f") == "ac");
  fs.FailNth(1, Fault::kShortWrite);
  CHECK(file->Append("1234").code() == Code::kNoSpace);
  CHECK(Read(&fs, "/d/f") == "ac12");
  fs.FailNth(FileCall::kRead, 1, Fault::kIoError);
  CHECK(fs.OpenForReading("/d/f").status().code() == Code::kIoError);
  fs.FailNth(1, Fault::kIoError);
  fs.ClearFaults();
  CHECK(file->Sync().ok());

  fs.SetCapacity(10);
  CHECK(fs.FreeBytes("/").value() == 10 - fs.UsedBytes());
  CHECK(file->Append("0123456789").code() == Code::kNoSpace);
  CHECK(fs.UsedBytes() == 10);
  fs.FlipBit("/d/f", 0, 1);
  CHECK(Read(&fs, "/d/f")[0] == 'c');
  CHECK(fs.AllFiles() == std::vector<std::string>{"/d/f"});
}

}  // namespace
}  // namespace holdfast::storage
