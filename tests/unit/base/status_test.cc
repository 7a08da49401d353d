#include "base/status.h"

#include <cerrno>
#include <memory>
#include <string>

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast {
namespace {

Status FailWhen(bool fail) {
  return fail ? Status::Corruption("checksum of record 7") : Status::Ok();
}

Status Forward(bool fail, bool* reached) {
  RETURN_IF_ERROR(FailWhen(fail));
  *reached = true;
  return Status::Ok();
}

TEST_CASE("a status is OK or carries a code and a message") {
  CHECK(Status().ok());
  CHECK(Status::Ok().code() == Code::kOk);
  CHECK(Status::Ok().message().empty());
  const Status status = Status::InvalidArgument("port: 70000");
  CHECK_FALSE(status.ok());
  CHECK(status.code() == Code::kInvalidArgument);
  CHECK(status.message() == "port: 70000");
  CHECK(Status::NotFound("x").code() == Code::kNotFound);
  CHECK(Status::IoError("x").code() == Code::kIoError);
  CHECK(Status::NoSpace("x").code() == Code::kNoSpace);
  CHECK(Status::Corruption("x").code() == Code::kCorruption);
  CHECK(Status::Unsupported("x").code() == Code::kUnsupported);
}

TEST_CASE("a system call's failure names the call and the reason") {
  CHECK(Status::FromErrno("open wal", ENOENT).code() == Code::kNotFound);
  CHECK(Status::FromErrno("open wal", ENOENT).message() == "open wal: No such file or directory");
  CHECK(Status::FromErrno("write", ENOSPC).code() == Code::kNoSpace);
  CHECK(Status::FromErrno("write", EDQUOT).code() == Code::kNoSpace);
  CHECK(Status::FromErrno("write", EIO).code() == Code::kIoError);
  CHECK(Status::FromErrno("write", EACCES).code() == Code::kIoError);
}

TEST_CASE("RETURN_IF_ERROR leaves the function with the status") {
  bool reached = false;
  CHECK(Forward(false, &reached).ok());
  CHECK(reached);
  reached = false;
  const Status status = Forward(true, &reached);
  CHECK(status.code() == Code::kCorruption);
  CHECK(status.message() == "checksum of record 7");
  CHECK_FALSE(reached);
}

TEST_CASE("a result holds a value or a status") {
  Result<std::string> good(std::string("abc"));
  REQUIRE(good.ok());
  CHECK(good.status().ok());
  good.value() += "d";
  CHECK(good.value() == "abcd");

  const Result<std::string> bad(Status::NotFound("no file"));
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.status().code() == Code::kNotFound);
  CHECK(bad.status().message() == "no file");
}

TEST_CASE("a result's value can be moved out") {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  const std::unique_ptr<int> taken = std::move(result).value();
  REQUIRE(taken != nullptr);
  CHECK(*taken == 5);
}

}  // namespace
}  // namespace holdfast
