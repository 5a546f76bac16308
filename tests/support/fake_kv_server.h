// An OpenBao server with one KV v2 secret, in this process, for the client and the engine's kv
// home: real sockets, and faults to order.
#ifndef TESTS_SUPPORT_FAKE_KV_SERVER_H_
#define TESTS_SUPPORT_FAKE_KV_SERVER_H_

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/json.h"

namespace testing_support {

// What happens to a call.
enum class KvFault {
  kNone,
  kLostBefore,      // the connection breaks; nothing happened
  kLostAfter,       // … but the call had its effect
  kErrorBefore,     // a 500; nothing happened
  kErrorAfter,      // … but the call had its effect
  kForbidden,       // a 403
  kSealed,          // a 503
  kGarbage,         // no HTTP
  kCut,             // the answer ends in the middle
  kLate,            // the connection breaks; the call has its effect at DeliverLate()
  kLateFirst,       // DeliverLate(), then this call
  kSlow,            // no answer at all
  kSlowAfter,       // … but the call had its effect
  kInterim,         // a 103 before the answer (RFC 8297)
  kTimedOut,        // a proxy's 408; nothing happened
  kTooLarge,        // a 413
  kEcho,            // a 400 whose error repeats the request
  kRedirect,        // a 307 to where redirect_to says
  kRedirectAfter,   // … but the call had its effect
  kConflictAfter,   // a proxy sends the call twice, and passes on the second answer
  kDestroyedAfter,  // a 500 after the effect, and another hand destroys that version
  kNoRoute,         // a 404 of a server that has no such mount
  kStale,           // the answer of a standby that lags one version behind
  kRace,            // another hand writes what set_hand says, just before
};

// Logins: role_id "role-1" with secret_id "secret-1"; JWT role "reader" with any JWT that was
// allowed; the token "given-token". Thread-safe.
class FakeKvServer {
 public:
  // The one secret that it has.
  static constexpr char kMount[] = "services/all/kv";
  static constexpr char kPath[] = "encryption/keys/stored_data";

  struct Call {
    int number;  // from 1
    std::string method;
    std::string path;  // after /v1/, with its query
    std::string token;
    std::string name_space;
    std::string server_name;  // of TLS (SNI)
  };
  using Plan = std::function<KvFault(const Call&)>;

  FakeKvServer();
  ~FakeKvServer();
  FakeKvServer(const FakeKvServer&) = delete;
  FakeKvServer& operator=(const FakeKvServer&) = delete;

  // Speaks TLS from now on, with a certificate for these names (or IP addresses, "IP:…"); the PEM
  // text of the authority. Before the first call.
  std::string UseTls(const std::string& names);
  std::string address(std::string_view host = "127.0.0.1") const;

  void set_plan(Plan plan);
  void set_redirect_to(std::string location);
  void set_chunked(bool chunked);
  // Each answer comes so much later.
  void set_delay(absl::Duration delay);
  void set_hand(base::Json data);
  void set_policy(std::vector<std::string> on_data, std::vector<std::string> on_metadata);
  void set_max_versions(std::uint64_t most);
  void set_cas_required(bool required);
  // As KV writes durations; "0s": not set.
  void set_delete_version_after(std::string of_secret, std::string of_mount);
  // When KV will delete the current version by itself.
  void set_deletion_time(std::string time);
  void set_token_ttl(int seconds, bool renewable);
  void RevokeTokens();
  void DeliverLate();
  void AllowJwt(std::string jwt);

  // The next version, by another hand.
  void Put(const base::Json& data);
  void Delete(std::uint64_t number, bool destroy);
  // As `bao kv metadata delete`: the next version is 1.
  void DeleteAll();
  // As `bao kv metadata put` where there is nothing: metadata without a version.
  void PutMetadata();
  std::uint64_t current();
  // null if it is deleted or pruned.
  base::Json data(std::uint64_t number);

  std::vector<Call> calls();
  int CallsTo(std::string_view path_part);

 private:
  // Null, but not by default: nlohmann's constructor of it is noexcept, and calls one that may
  // throw.
  struct Stored {
    base::Json data = base::Json(base::Json::value_t::null);  // null once deleted
    bool destroyed = false;
    std::string deletion_time = {};
  };
  struct Reply {
    int status = 200;
    base::Json body = base::Json(base::Json::value_t::null);
  };
  class Peer;

  void Serve();
  void ServeOne(int socket);
  Reply Answer(const Call& call, const base::Json& body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Reply Login(const Call& call, const base::Json& body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Reply OwnToken(const Call& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Reply Read(const Call& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Reply Write(const base::Json& body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Reply Metadata() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Add(const base::Json& data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  int listener_ = -1;
  int port_ = 0;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> tls_{nullptr, &SSL_CTX_free};

  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  Plan plan_ ABSL_GUARDED_BY(mutex_);
  std::string redirect_to_ ABSL_GUARDED_BY(mutex_);
  bool chunked_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration delay_ ABSL_GUARDED_BY(mutex_);
  base::Json hand_ ABSL_GUARDED_BY(mutex_);
  std::vector<Call> calls_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> late_ ABSL_GUARDED_BY(mutex_);
  std::map<std::uint64_t, Stored> versions_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t current_ ABSL_GUARDED_BY(mutex_) = 0;
  bool has_metadata_ ABSL_GUARDED_BY(mutex_) = false;  // though it may have no version
  int made_ ABSL_GUARDED_BY(mutex_) = 1;               // the secret, so many times
  std::uint64_t max_versions_ ABSL_GUARDED_BY(mutex_) = 10;
  bool cas_required_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> on_data_ ABSL_GUARDED_BY(mutex_) = {"create", "read", "update"};
  std::vector<std::string> on_metadata_ ABSL_GUARDED_BY(mutex_) = {"read"};
  std::set<std::string> tokens_ ABSL_GUARDED_BY(mutex_) = {"given-token"};
  std::set<std::string> jwts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> wrapped_ ABSL_GUARDED_BY(mutex_) = {
      {"wrapping-1", "secret-1"}};
  std::string secret_keeps_ ABSL_GUARDED_BY(mutex_) = "0s";
  std::string mount_keeps_ ABSL_GUARDED_BY(mutex_) = "0s";
  int ttl_ ABSL_GUARDED_BY(mutex_) = 3600;
  bool renewable_ ABSL_GUARDED_BY(mutex_) = true;
  int made_tokens_ ABSL_GUARDED_BY(mutex_) = 0;

  std::thread thread_;
  std::vector<std::thread> connections_;  // of thread_
};

}  // namespace testing_support

#endif  // TESTS_SUPPORT_FAKE_KV_SERVER_H_
