#ifndef KVCLIENT_CLIENT_H_
#define KVCLIENT_CLIENT_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "kvclient/address.h"
#include "kvclient/allowance.h"
#include "kvclient/http.h"
#include "kvclient/settings.h"
#include "kvclient/tls.h"

namespace kvclient {

// What the server answered. `body` is an object, or null if there was none.
struct Reply {
  int status = 0;
  base::Json body;
  bool redirected = false;  // it answers a request that was sent twice

  bool ok() const { return status >= 200 && status < 300; }
  // The body's object `name`, or nullptr.
  const base::Json* Object(std::string_view name) const;
};

// Whether the member `name` is true.
bool IsTrue(const base::Json& object, std::string_view name);

// Why a reply is no success: UNAVAILABLE if the server can't serve now, RESOURCE_EXHAUSTED if it
// was sent too much, else FAILED_PRECONDITION. What the server wrote is never passed on, for it may
// repeat what it was sent; known phrases are.
absl::Status ToStatus(const Reply& reply, std::string_view what);

// Speaks to one OpenBao server as the settings say. It logs in when it must: before the first call,
// when a token that expires can't be renewed, and once more when the token is refused. Thread-safe;
// no lock is held while it waits for the server. All that a call needs takes what is left of the
// thread's Allowance at most, or one time-out without one.
class Client {
 public:
  // `clock` outlives the client. INVALID_ARGUMENT as Settings::Check().
  static absl::StatusOr<std::unique_ptr<Client>> New(Settings settings, base::Clock* clock,
                                                     Timeouts timeouts = {});

  // `path` is what follows /v1/; `body` null for none. UNAVAILABLE without a whole answer; see
  // NeverSent().
  absl::StatusOr<Reply> Call(std::string_view method, std::string_view path,
                             const base::Json& body = nullptr);

  // As Call, for what the policies may well not allow: a 403 leads to no new login.
  absl::StatusOr<Reply> Ask(std::string_view method, std::string_view path,
                            const base::Json& body = nullptr);

  // Whether the credentials are taken. FAILED_PRECONDITION if they are refused; UNAVAILABLE.
  absl::Status CheckLogin();

  // What a wrapping token holds; it is used up by that.
  absl::StatusOr<base::SecretBytes> UnwrapSecretId(const base::SecretBytes& wrapping_token);

  const Settings& settings() const { return settings_; }
  // What is sent there can be read on its way through networks.
  bool sends_in_the_clear() const { return !address_.tls && !IsLocal(address_.host); }

 private:
  struct Token {
    base::SecretBytes value;
    absl::Duration renew_at = absl::InfiniteDuration();  // on the monotonic clock
    absl::Duration expires_at = absl::InfiniteDuration();
    absl::Duration life = absl::InfiniteDuration();          // as it was got or renewed
    bool renewable = false;                                  // by itself, without a login
    std::optional<absl::Duration> logged_in = std::nullopt;  // when; of a token of our own
    bool after_refusal = false;                              // got since the one before was refused

    Token Clone() const;
  };
  using SharedToken = std::shared_ptr<const Token>;

  Client(Settings settings, Address address, TlsContext context, base::Clock* clock,
         Timeouts timeouts);

  absl::StatusOr<Reply> Send(std::string_view method, std::string_view path, std::string_view token,
                             const base::Json& body);
  absl::StatusOr<HttpResponse> Follow(const HttpResponse& redirect, HttpRequest request);
  // A token that is good as far as is known.
  absl::StatusOr<SharedToken> GoodToken();
  // Another one than `refused`, or nullptr if there is no point in one.
  absl::StatusOr<SharedToken> AnotherToken(const SharedToken& refused);
  // A token in the place of one that expires.
  absl::StatusOr<Token> NextToken(const Token& old);
  absl::StatusOr<Token> NewToken();
  absl::StatusOr<Token> LogIn();
  absl::StatusOr<Token> LookUp();
  absl::StatusOr<Token> Renew(const Token& old);
  Token TokenOf(base::SecretBytes value, const base::Json& lease, std::string_view ttl);
  // In the place of `old`, unless another thread was faster: then what that one has got. A token of
  // our own that is no longer used is revoked.
  SharedToken Keep(Token token, const SharedToken& old);
  void Revoke(const Token& token);

  const Settings settings_;
  const Address address_;
  const TlsContext context_;
  base::Clock* const clock_;
  const Timeouts timeouts_;
  absl::Mutex mutex_;
  SharedToken token_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kvclient

#endif  // KVCLIENT_CLIENT_H_
