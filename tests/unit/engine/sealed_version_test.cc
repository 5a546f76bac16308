#include "engine/sealed_version.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/records.h"
#include "support/status_matchers.h"

namespace engine {
namespace {

VersionPtr NewVersion(std::uint64_t number) {
  mek::VersionDoc doc{.record =
                          *mek::Record::Parse(testing_support::ReadRecord("good_bootstrapped"))};
  doc.operation = "import";
  return Share({number, std::move(doc)});
}

std::string Text(const Version& version) {
  return std::string(version.doc.Serialize().value().view());
}

TEST(SealedVersion, IsSharedWhileARequestHasIt) {
  VersionPtr written = NewVersion(7);
  const auto sealed = SealedVersion::Seal(written, Text(*written));
  ASSERT_NE(sealed, nullptr);
  EXPECT_EQ(*sealed->Open(), written);

  // A reader keeps it alive after the writer has gone.
  VersionPtr read = *sealed->Open();
  const Version* const same = read.get();
  written.reset();
  EXPECT_EQ(sealed->Open()->get(), same);
}

TEST(SealedVersion, IsKeptByNobodyAndParsedAnewForTheNext) {
  VersionPtr written = NewVersion(7);
  const std::string text = Text(*written);
  const std::weak_ptr<const Version> first = written;
  const auto sealed = SealedVersion::Seal(written, text);
  written.reset();
  EXPECT_TRUE(first.expired());

  VersionPtr read = *sealed->Open();
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->number, 7u);
  EXPECT_EQ(Text(*read), text);
  EXPECT_EQ(*sealed->Open(), read);
  const std::weak_ptr<const Version> second = read;
  read.reset();
  EXPECT_TRUE(second.expired());
  EXPECT_EQ(sealed->Document()->view(), text);
}

TEST(SealedVersion, IsOneForThoseThatOpenItAtOnce) {
  VersionPtr written = NewVersion(7);
  const auto sealed = SealedVersion::Seal(written, Text(*written));
  written.reset();
  std::vector<VersionPtr> opened(8);
  std::vector<std::thread> threads;
  for (VersionPtr& one : opened) threads.emplace_back([&] { one = *sealed->Open(); });
  for (std::thread& thread : threads) thread.join();
  for (const VersionPtr& one : opened) EXPECT_EQ(one, opened[0]);
}

TEST(SealedVersion, SaysWhatIsWrongWithADocumentThatIsNone) {
  VersionPtr written = NewVersion(7);
  const auto sealed = SealedVersion::Seal(written, "{}");
  written.reset();
  EXPECT_THAT(sealed->Open(), testing_support::StatusIs(absl::StatusCode::kDataLoss,
                                                        ::testing::HasSubstr("version 7")));
}

}  // namespace
}  // namespace engine
