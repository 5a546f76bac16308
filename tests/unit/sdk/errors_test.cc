#include "sdk/transport/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "sdk/logical/errors.h"

namespace openbao {
namespace {

pb::HandleRequestReply Reply(const absl::Status& status) {
  pb::HandleRequestReply reply;
  SetError(status, reply);
  return reply;
}

// The host makes a 400 of any error that comes with "error" in the data.
void ExpectWithoutData(const absl::Status& status, std::uint32_t type, std::int64_t code) {
  SCOPED_TRACE(status.ToString());
  const pb::HandleRequestReply reply = Reply(status);
  ASSERT_TRUE(reply.has_err());
  EXPECT_EQ(reply.err().err_type(), type);
  EXPECT_EQ(reply.err().err_code(), code);
  EXPECT_EQ(reply.err().err_msg(), std::string(status.message()));
  EXPECT_FALSE(reply.has_response());
}

TEST(SetError, ACodeOfOurOwnIsCodedAndHasNoData) {
  ExpectWithoutData(absl::NotFoundError("no version"), 3, 404);
  ExpectWithoutData(absl::FailedPreconditionError("not now"), 3, 409);
  ExpectWithoutData(absl::AbortedError("lost"), 3, 409);
  ExpectWithoutData(absl::ResourceExhaustedError("too large"), 3, 413);
}

TEST(SetError, AnythingElseIsAServerError) {
  ExpectWithoutData(absl::InternalError("broken"), 3, 500);
  ExpectWithoutData(absl::UnavailableError("no answer"), 3, 500);
  ExpectWithoutData(absl::UnknownError("?"), 3, 500);
  ExpectWithoutData(absl::DeadlineExceededError("late"), 3, 500);
  ExpectWithoutData(absl::CancelledError("left"), 3, 500);
  ExpectWithoutData(absl::DataLossError("corrupt"), 3, 500);
  ExpectWithoutData(absl::OutOfRangeError("far"), 3, 500);
  ExpectWithoutData(absl::UnauthenticatedError("who"), 3, 500);
  ExpectWithoutData(absl::Status(static_cast<absl::StatusCode>(99), "odd"), 3, 500);
}

TEST(SetError, WhatIsDeniedOrUnsupportedHasATypeOfItsOwn) {
  ExpectWithoutData(absl::PermissionDeniedError("no"), 8, 0);
  ExpectWithoutData(UnsupportedOperation(), 5, 0);
  ExpectWithoutData(absl::UnimplementedError("unsupported path"), 5, 0);
  ExpectWithoutData(UnsupportedPath(), 6, 0);
}

// Core looks for this text in an error without type or code, and forwards the request.
TEST(SetError, AReadOnlyStorageIsPassedOnAsTheHostsOwnText) {
  ExpectWithoutData(ReadOnlyStorage(), 0, 0);
  EXPECT_EQ(Reply(ReadOnlyStorage()).err().err_msg(), "cannot write to readonly storage");
}

TEST(SetError, TheTextAloneMakesNoReadOnlyStorage) {
  ExpectWithoutData(absl::UnavailableError("cannot write to readonly storage"), 3, 500);
}

TEST(SetError, BadInputHasItsTextInTheDataOnly) {
  const pb::HandleRequestReply reply = Reply(absl::InvalidArgumentError("n: expected \"1\"\n"));
  EXPECT_EQ(reply.err().err_type(), 7U);
  EXPECT_EQ(reply.err().err_code(), 0);
  EXPECT_EQ(reply.err().err_msg(), "invalid request");
  EXPECT_EQ(reply.response().data(), R"({"error":"n: expected \"1\"\n"})");
  EXPECT_EQ(reply.response().warnings_size(), 0);
}

TEST(SetError, ALongTextIsKeptWhole) {
  const std::string text(100'000, 'x');
  EXPECT_EQ(Reply(absl::InvalidArgumentError(text)).response().data(),
            "{\"error\":\"" + text + "\"}");
}

// The marks decide, and only the errors that carry them are marked.
TEST(Errors, MarksAreToldApart) {
  EXPECT_TRUE(IsReadOnlyStorage(ReadOnlyStorage()));
  EXPECT_TRUE(IsUnsupportedPath(UnsupportedPath()));
  EXPECT_FALSE(IsReadOnlyStorage(UnsupportedPath()));
  EXPECT_FALSE(IsUnsupportedPath(ReadOnlyStorage()));
  EXPECT_FALSE(IsUnsupportedPath(UnsupportedOperation()));
  EXPECT_FALSE(IsReadOnlyStorage(absl::OkStatus()));
  EXPECT_FALSE(IsUnsupportedPath(absl::OkStatus()));
}

}  // namespace
}  // namespace openbao
