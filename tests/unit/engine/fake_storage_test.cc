#include "support/fake_storage.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "support/status_matchers.h"

namespace testing_support {
namespace {

using openbao::Transaction;

// The real one does (sdk/transport/storage_client.cc).
TEST(FakeStorage, AfterItsEndATransactionRefusesEveryCall) {
  FakeStorage storage;
  storage.store().set_transactional(true);
  const auto is_ended = StatusIs(absl::StatusCode::kInternal, "the storage transaction has ended");
  for (const auto end : {&Transaction::Commit, &Transaction::Rollback}) {
    const std::unique_ptr<Transaction> transaction = std::move(storage.BeginTx()).value();
    ASSERT_THAT(((*transaction).*end)(), IsOk());
    storage.set_plan(nullptr);
    EXPECT_THAT(transaction->Get("k"), is_ended);
    EXPECT_THAT(transaction->Put("k", base::SecretBytes("v")), is_ended);
    EXPECT_THAT(transaction->Delete("k"), is_ended);
    EXPECT_THAT(transaction->List(""), is_ended);
    EXPECT_THAT(transaction->ListPage("", "", 1), is_ended);
    EXPECT_THAT(transaction->Commit(), is_ended);
    EXPECT_THAT(transaction->Rollback(), is_ended);
    EXPECT_TRUE(storage.calls().empty());
  }
}

}  // namespace
}  // namespace testing_support
