#include "unit/goplugin/child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "absl/time/clock.h"

namespace goplugin {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(4);

}  // namespace

Child::Child(const std::string& program, const std::vector<std::string>& environment,
             const std::string& log) {
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return;
  out_.fd = Fd(out[0]);
  err_.fd = Fd(err[0]);
  const Fd out_end(out[1]);
  const Fd err_end(err[1]);
  const Fd log_end(
      log.empty() ? -1 : open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out_end.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, log.empty() ? err_end.get() : log_end.get(),
                                   STDERR_FILENO);
  std::vector<char*> variables;
  variables.reserve(environment.size() + 2);
  for (const std::string& variable : environment) {
    variables.push_back(const_cast<char*>(variable.c_str()));
  }
  // Where clang counts what runs, it counts this too (make coverage).
  std::string profile;
  if (const char* file = std::getenv("LLVM_PROFILE_FILE"); file != nullptr) {
    profile = std::string("LLVM_PROFILE_FILE=") + file;
    variables.push_back(profile.data());
  }
  variables.push_back(nullptr);
  char* const arguments[] = {const_cast<char*>(program.c_str()), nullptr};
  if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, variables.data()) != 0) {
    pid_ = -1;
  }
  posix_spawn_file_actions_destroy(&actions);
}

Child::~Child() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool Child::Read(absl::Time deadline) {
  Stream* const streams[] = {&out_, &err_};
  pollfd events[2];
  for (int i = 0; i < 2; ++i) {
    events[i] = {streams[i]->ended ? -1 : streams[i]->fd.get(), POLLIN, 0};
  }
  const auto left = absl::ToInt64Milliseconds(deadline - absl::Now());
  if ((out_.ended && err_.ended) ||
      poll(events, 2, static_cast<int>(std::max<std::int64_t>(left, 0))) <= 0) {
    return false;
  }
  for (int i = 0; i < 2; ++i) {
    if (events[i].revents == 0) continue;
    char buffer[4096];
    const ssize_t size = read(streams[i]->fd.get(), buffer, sizeof buffer);
    if (size > 0) {
      streams[i]->text.append(buffer, static_cast<std::size_t>(size));
    } else {
      streams[i]->ended = true;
    }
  }
  return true;
}

std::optional<std::string> Child::ReadLine() {
  const absl::Time deadline = absl::Now() + kPatience;
  for (;;) {
    if (const std::size_t end = out_.text.find('\n'); end != std::string::npos) {
      std::string line = out_.text.substr(0, end);
      out_.text.erase(0, end + 1);
      return line;
    }
    if (out_.ended || !Read(deadline)) return std::nullopt;
  }
}

bool Child::AwaitStderr(const std::string& text) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (err_.text.find(text) == std::string::npos) {
    if (err_.ended || !Read(deadline)) return false;
  }
  return true;
}

bool Child::AwaitEnd(absl::Duration patience) {
  // Readable when the process has ended.
  const Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  pollfd event{process.get(), POLLIN, 0};
  if (pid_ < 0 || poll(&event, 1, static_cast<int>(absl::ToInt64Milliseconds(patience))) <= 0) {
    return pid_ < 0;
  }
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  return true;
}

std::optional<Child::End> Child::Wait() {
  const absl::Time start = absl::Now();
  while (Read(start + kPatience)) {
  }
  if (pid_ < 0 || !out_.ended || !err_.ended) return std::nullopt;
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return End{WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), absl::Now() - start};
}

}  // namespace goplugin
