#include <grpc/slice.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

namespace {

// What the next SSL_read finds, and what the next SSL_write answers.
std::string incoming;
int write_answer = 0;

}  // namespace

extern "C" {

// Called in C++ by names of our own, for the linker's are reserved.
SSL* RealSslNew(SSL_CTX* context) __asm__("__real_SSL_new");
int RealSslRead(SSL* ssl, void* text, int size) __asm__("__real_SSL_read");
int RealSslWrite(SSL* ssl, const void* text, int size) __asm__("__real_SSL_write");
grpc_slice RealSplitHead(grpc_slice* source, size_t size) __asm__("__real_grpc_slice_split_head");
SSL* WrapSslNew(SSL_CTX* context) __asm__("__wrap_SSL_new");
int WrapSslRead(SSL* ssl, void* text, int size) __asm__("__wrap_SSL_read");
int WrapSslWrite(SSL* ssl, const void* text, int size) __asm__("__wrap_SSL_write");
grpc_slice WrapSplitHead(grpc_slice* source, size_t size) __asm__("__wrap_grpc_slice_split_head");

SSL* RealSslNew(SSL_CTX* context) { return SSL_new(context); }
int RealSslRead(SSL* /*ssl*/, void* text, int size) {
  if (incoming.empty()) return -1;
  const std::size_t got = std::min(incoming.size(), static_cast<std::size_t>(size));
  memcpy(text, incoming.data(), got);
  incoming.erase(0, got);
  return static_cast<int>(got);
}
int RealSslWrite(SSL* /*ssl*/, const void* /*text*/, int /*size*/) { return write_answer; }
grpc_slice RealSplitHead(grpc_slice* source, size_t size) {
  return grpc_slice_split_head(source, size);
}

}  // extern "C"

namespace {

std::string_view View(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

// A staging buffer as gRPC's secure endpoint has it.
class WipeTls : public testing::Test {
 protected:
  WipeTls() : staging_(grpc_slice_malloc(8192)), start_(GRPC_SLICE_START_PTR(staging_)) {
    memset(start_, '.', 8192);
    cursor_ = start_;
  }
  ~WipeTls() override { grpc_slice_unref(staging_); }

  int Read(const std::string& text) {
    incoming = text;
    std::uint8_t* end = GRPC_SLICE_END_PTR(staging_);
    const int got = WrapSslRead(nullptr, cursor_, static_cast<int>(end - cursor_));
    if (got > 0) cursor_ += got;
    return got;
  }

  // What stands at the start of the staging buffer's memory.
  std::string_view Memory(std::size_t size) const {
    return {reinterpret_cast<const char*>(start_), size};
  }

  grpc_slice staging_;
  std::uint8_t* start_;
  std::uint8_t* cursor_;
};

const std::string kText(100, 'k');
const std::string kWiped(100, '\0');

TEST_F(WipeTls, AHeadOfWhatWasReadIsACopyAndItsPlaceIsWiped) {
  ASSERT_EQ(Read(kText), 100);
  grpc_slice head = WrapSplitHead(&staging_, 100);
  EXPECT_EQ(View(head), kText);
  EXPECT_EQ(Memory(100), kWiped);
  EXPECT_EQ(GRPC_SLICE_START_PTR(staging_), start_ + 100);
  EXPECT_EQ(GRPC_SLICE_LENGTH(staging_), 8092u);
  EXPECT_EQ(View(staging_)[0], '.');
  grpc_slice_unref(head);
}

TEST_F(WipeTls, SeveralReadsMakeOneHead) {
  ASSERT_EQ(Read(kText.substr(0, 60)), 60);
  ASSERT_EQ(Read(""), -1);
  ASSERT_EQ(Read(kText.substr(60)), 40);
  ASSERT_EQ(Read(""), -1);
  grpc_slice head = WrapSplitHead(&staging_, 100);
  EXPECT_EQ(View(head), kText);
  EXPECT_EQ(Memory(100), kWiped);
  grpc_slice_unref(head);
}

TEST_F(WipeTls, AShortHeadIsWipedToo) {
  ASSERT_EQ(Read("short"), 5);
  grpc_slice head = WrapSplitHead(&staging_, 5);
  EXPECT_EQ(View(head), "short");
  EXPECT_EQ(Memory(5), kWiped.substr(0, 5));
  EXPECT_EQ(GRPC_SLICE_START_PTR(staging_), start_ + 5);
  grpc_slice_unref(head);
}

TEST_F(WipeTls, TheNextHeadOfTheSameBufferIsWipedToo) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(Read(kText), 100);
    grpc_slice head = WrapSplitHead(&staging_, 100);
    EXPECT_EQ(View(head), kText);
    grpc_slice_unref(head);
  }
  EXPECT_EQ(Memory(300), std::string(300, '\0'));
}

TEST_F(WipeTls, AFullBufferThatIsHandedOnWholeIsForgotten) {
  const std::string full(8192, 'f');
  ASSERT_EQ(Read(full), 8192);
  grpc_slice whole = staging_;
  staging_ = grpc_slice_malloc(8192);
  cursor_ = GRPC_SLICE_START_PTR(staging_);
  ASSERT_EQ(Read(kText), 100);
  EXPECT_EQ(View(whole), full);
  grpc_slice head = WrapSplitHead(&staging_, 100);
  EXPECT_EQ(View(head), kText);
  grpc_slice_unref(head);
  EXPECT_EQ(View(whole), full);
  grpc_slice_unref(whole);
}

// Whatever is not just what was read is split as gRPC does it: in place, and left as it is.
TEST_F(WipeTls, AnotherSplitIsLeftToGrpc) {
  ASSERT_EQ(Read(kText), 100);
  grpc_slice other = grpc_slice_from_copied_string(kText.c_str());
  const std::uint8_t* other_start = GRPC_SLICE_START_PTR(other);
  grpc_slice head = WrapSplitHead(&other, 60);
  EXPECT_EQ(GRPC_SLICE_START_PTR(head), other_start);
  grpc_slice_unref(head);
  grpc_slice_unref(other);

  head = WrapSplitHead(&staging_, 60);  // another size
  EXPECT_EQ(GRPC_SLICE_START_PTR(head), start_);
  EXPECT_EQ(Memory(100), kText);
  grpc_slice_unref(head);
}

TEST_F(WipeTls, ASecondSplitOfTheSamePlaceIsLeftToGrpc) {
  grpc_slice whole = grpc_slice_ref(staging_);
  ASSERT_EQ(Read(kText), 100);
  grpc_slice_unref(WrapSplitHead(&staging_, 100));
  memset(start_, 'n', 100);
  grpc_slice head = WrapSplitHead(&whole, 100);
  EXPECT_EQ(GRPC_SLICE_START_PTR(head), start_);
  EXPECT_EQ(Memory(100), std::string(100, 'n'));
  grpc_slice_unref(head);
  grpc_slice_unref(whole);
}

TEST_F(WipeTls, ASplitOnAnotherThreadIsLeftToGrpc) {
  ASSERT_EQ(Read(kText), 100);
  std::thread([this] {
    grpc_slice head = WrapSplitHead(&staging_, 100);
    EXPECT_EQ(GRPC_SLICE_START_PTR(head), start_);
    grpc_slice_unref(head);
  }).join();
  EXPECT_EQ(Memory(100), kText);
}

TEST_F(WipeTls, WhatWasWrittenIsWiped) {
  std::string text = kText;
  write_answer = 100;
  EXPECT_EQ(WrapSslWrite(nullptr, text.data(), 100), 100);
  EXPECT_EQ(text, kWiped);
}

TEST_F(WipeTls, WhatWasNotOrNotAllWrittenIsKept) {
  std::string text = kText;
  for (const int answer : {-1, 0, 99}) {
    write_answer = answer;
    EXPECT_EQ(WrapSslWrite(nullptr, text.data(), 100), answer);
    EXPECT_EQ(text, kText);
  }
}

TEST_F(WipeTls, OpensslIsToldToWipeWhatItHandedOut) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL* ssl = WrapSslNew(context);
  ASSERT_NE(ssl, nullptr);
  EXPECT_NE(SSL_get_options(ssl) & SSL_OP_CLEANSE_PLAINTEXT, 0u);
  EXPECT_NE(SSL_get_mode(ssl) & SSL_MODE_RELEASE_BUFFERS, 0u);
  SSL_free(ssl);
  SSL_CTX_free(context);
}

}  // namespace
