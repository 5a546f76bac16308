// What a plugin changes in its own process, so that key material doesn't leave it, signals meant
// for its host don't end it, and memory is given back. All of it is for the start of main, before
// there are other threads.
#ifndef GOPLUGIN_PROCESS_H_
#define GOPLUGIN_PROCESS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "goplugin/handshake.h"
#include "goplugin/posix.h"

namespace goplugin {

// No core file, ever (soft and hard limit 0), and no other process of the same user may read this
// one's memory or attach to it (not dumpable).
absl::Status ForbidDumps();

// Keeps all memory from being swapped out, pages locked as they are touched, if the host asks for
// it (BAO_PLUGIN_MLOCK_ENABLED or VAULT_PLUGIN_MLOCK_ENABLED is true). FAILED_PRECONDITION, with
// nothing locked, if a limit stands in the way: locking up to a limit would make later allocations
// fail.
absl::Status LockMemoryIfAsked(const Environment& environment);

// A block of 1 MiB or more goes back to the system when it is freed, and so does as much at the top
// of a heap. Otherwise glibc, once such blocks have come and gone, keeps them: after some requests
// of 31 MiB half a gigabyte, for good. Less than 1 MiB is kept: given back (glibc does from 128 KiB
// on), it is wanted again by the next request of some hundred KiB, page by page.
void GiveLargeBlocksBack();

// Debian builds Abseil as for debugging: each mutex looks for deadlocks whenever it is locked,
// under one lock for the whole process, and all of gRPC's mutexes are Abseil's.
void LookForNoDeadlocks();

// The host's environment is inherited whole. Takes out what would steer our libraries: gRPC's
// variables (traces that print payloads, cipher lists) and OpenSSL's configuration, which can load
// code.
void ForgetLibrarySettings();

// Ignores SIGINT, which a terminal sends to the host's whole process group, and SIGPIPE. Blocks
// SIGTERM in this and all later threads, and returns a descriptor that is readable once SIGTERM has
// come.
absl::StatusOr<Fd> TakeOverSignals();

// Points stdout to nowhere, after the handshake.
void SilenceStdout();

}  // namespace goplugin

#endif  // GOPLUGIN_PROCESS_H_
