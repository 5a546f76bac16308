#include "goplugin/process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace goplugin {
namespace {

constexpr int kLargeBlock = 1 << 20;

bool MayLockWithoutLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY) return true;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  return syscall(SYS_capget, &header, data) == 0 &&
         (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

}  // namespace

absl::Status ForbidDumps() {
  const rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return ErrnoError("core files can't be forbidden");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return ErrnoError("the process can't be made undumpable");
  }
  return absl::OkStatus();
}

absl::Status LockMemoryIfAsked(const Environment& environment) {
  if (environment("BAO_PLUGIN_MLOCK_ENABLED") != "true" &&
      environment("VAULT_PLUGIN_MLOCK_ENABLED") != "true") {
    return absl::OkStatus();
  }
  if (!MayLockWithoutLimit()) {
    return absl::FailedPreconditionError(
        "memory is not locked and may be swapped out: the process has neither CAP_IPC_LOCK nor an "
        "unlimited RLIMIT_MEMLOCK");
  }
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    return ErrnoError("memory is not locked and may be swapped out");
  }
  return absl::OkStatus();
}

void GiveLargeBlocksBack() {
  // Once set, the limits no longer grow with the blocks that are freed.
  mallopt(M_MMAP_THRESHOLD, kLargeBlock);
  mallopt(M_TRIM_THRESHOLD, kLargeBlock);
}

void LookForNoDeadlocks() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }

void ForgetLibrarySettings() {
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view name =
        std::string_view(*variable).substr(0, std::string_view(*variable).find('='));
    if (name.starts_with("GRPC_")) names.emplace_back(name);
  }
  for (const std::string& name : names) unsetenv(name.c_str());
  OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
}

absl::StatusOr<Fd> TakeOverSignals() {
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  errno = pthread_sigmask(SIG_BLOCK, &term, nullptr);
  if (errno != 0) return ErrnoError("SIGTERM can't be blocked");
  Fd fd(signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.ok()) return ErrnoError("SIGTERM can't be waited for");
  return fd;
}

void SilenceStdout() {
  const Fd nowhere(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (nowhere.ok()) dup2(nowhere.get(), STDOUT_FILENO);
}

}  // namespace goplugin
