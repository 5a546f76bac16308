#include "goplugin/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <string>

#include "support/status_matchers.h"
#include "unit/goplugin/host.h"

namespace goplugin {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

constexpr auto kPatience = std::chrono::seconds(4);

mode_t Mode(const std::filesystem::path& path) {
  struct stat status = {};
  return lstat(path.c_str(), &status) == 0 ? status.st_mode : 0;
}

Fd Connect(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Fd();
  return fd;
}

class ListenerTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Listener>> Open(const std::string& directory) {
    return Listener::Open(directory, &logger_);
  }

  const TemporaryDirectory directory_;
  RecordingLogger logger_;
};

TEST_F(ListenerTest, SocketIsForItsOwnerOnly) {
  // Even under a careless umask.
  const mode_t umask_before = umask(0);
  const auto listener = Open(directory_.path());
  umask(umask_before);
  ASSERT_THAT(listener, IsOk());
  const std::filesystem::path socket = (*listener)->path();
  EXPECT_EQ(Mode(socket), mode_t{S_IFSOCK | 0600});
  EXPECT_EQ(Mode(socket.parent_path()), mode_t{S_IFDIR | 0700});
  EXPECT_EQ(socket.parent_path().parent_path(), directory_.path());
}

TEST_F(ListenerTest, HandsOverConnections) {
  const auto listener = Open(directory_.path());
  ASSERT_THAT(listener, IsOk());
  std::promise<Fd> taken;
  (*listener)->Start([&](Fd connection) { taken.set_value(std::move(connection)); });
  const Fd ours = Connect((*listener)->path());
  ASSERT_TRUE(ours.ok());
  auto future = taken.get_future();
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
  const Fd theirs = future.get();
  ASSERT_EQ(write(theirs.get(), "hi", 2), 2);
  char buffer[2] = {};
  ASSERT_EQ(read(ours.get(), buffer, 2), 2);
  EXPECT_EQ(std::string(buffer, 2), "hi");
}

TEST_F(ListenerTest, CloseLeavesNothingBehind) {
  const auto listener = Open(directory_.path());
  ASSERT_THAT(listener, IsOk());
  (*listener)->Start([](Fd) {});
  const std::string path = (*listener)->path();
  ASSERT_FALSE(std::filesystem::is_empty(directory_.path()));
  (*listener)->Close();
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
  EXPECT_FALSE(Connect(path).ok());
  (*listener)->Close();
}

TEST_F(ListenerTest, DestructionLeavesNothingBehindEither) {
  { ASSERT_THAT(Open(directory_.path()), IsOk()); }
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(ListenerTest, SaysWhenThePathIsTooLongForASocket) {
  constexpr std::size_t kLongest = 107;
  const std::size_t own = std::string("/plugin-cc-XXXXXX/sock").size();
  const auto directory_of = [&](std::size_t size) {
    std::string path = directory_.path() + "/";
    path.append(size - path.size(), 'd');
    std::filesystem::create_directory(path);
    return path;
  };
  const auto longest = Open(directory_of(kLongest - own));
  ASSERT_THAT(longest, IsOk());
  EXPECT_EQ((*longest)->path().size(), kLongest);
  (*longest)->Start([](Fd) {});
  EXPECT_TRUE(Connect((*longest)->path()).ok());

  const std::string too_long = directory_of(kLongest - own + 1);
  EXPECT_THAT(Open(too_long), StatusIs(absl::StatusCode::kInvalidArgument,
                                       AllOf(HasSubstr("108 bytes"), HasSubstr("allows 107"),
                                             HasSubstr("TMPDIR"))));
  EXPECT_TRUE(std::filesystem::is_empty(too_long));
}

TEST_F(ListenerTest, RefusesADirectoryThatCannotStandInTheHandshake) {
  for (const char* name : {"a|b", "a\nb"}) {
    const std::string path = directory_.path() + "/" + name;
    std::filesystem::create_directory(path);
    EXPECT_THAT(Open(path), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("TMPDIR")));
    EXPECT_TRUE(std::filesystem::is_empty(path));
  }
}

TEST_F(ListenerTest, SaysWhichDirectoryIsMissing) {
  const std::string missing = directory_.path() + "/missing";
  EXPECT_THAT(Open(missing), StatusIs(absl::StatusCode::kInternal, HasSubstr(missing)));
}

TEST_F(ListenerTest, TurnsAwayOtherUsers) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can act as another user";
  const auto listener = Open(directory_.path());
  ASSERT_THAT(listener, IsOk());
  std::promise<void> taken;
  (*listener)->Start([&](Fd) { taken.set_value(); });
  // Opens the way that is otherwise closed before the check.
  const std::filesystem::path socket = (*listener)->path();
  for (const auto& path :
       {std::filesystem::path(directory_.path()), socket.parent_path(), socket}) {
    std::filesystem::permissions(path, std::filesystem::perms::all);
  }
  const std::string path = socket;
  const pid_t child = fork();
  if (child == 0) {
    // Connected, and then closed by the listener: 0.
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) _exit(1);
    const Fd fd = Connect(path);
    char byte = 0;
    _exit(!fd.ok() ? 2 : read(fd.get(), &byte, 1) == 0 ? 0 : 3);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(logger_.Text(),
              HasSubstr("warn: a connection of another user was refused uid=65534"));
  EXPECT_EQ(taken.get_future().wait_for(std::chrono::seconds(0)), std::future_status::timeout);
}

TEST_F(ListenerTest, RemovesWhatTheKilledLeftBehind) {
  const pid_t child = fork();
  if (child == 0) {
    // Ends without any destructor, as if killed.
    RecordingLogger logger;
    _exit(Listener::Open(directory_.path(), &logger).ok() ? (raise(SIGKILL), 1) : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const std::string abandoned = std::filesystem::directory_iterator(directory_.path())->path();
  ASSERT_EQ(Mode(abandoned + "/sock"), mode_t{S_IFSOCK | 0600});
  const auto alive = Open(directory_.path());
  ASSERT_THAT(alive, IsOk());
  std::filesystem::create_directory(directory_.path() + "/other");

  RemoveAbandonedSockets(directory_.path());

  EXPECT_EQ(Mode(abandoned), mode_t{0});
  EXPECT_EQ(Mode((*alive)->path()), mode_t{S_IFSOCK | 0600});
  EXPECT_EQ(Mode(directory_.path() + "/other") & S_IFDIR, mode_t{S_IFDIR});
}

}  // namespace
}  // namespace goplugin
